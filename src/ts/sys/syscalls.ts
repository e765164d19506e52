// The system calls of a serving worker, by architecture (asm/unistd.h of x86-64; asm-generic/unistd.h for arm64, which has no
// call of the kind that later ones replaced). The ones of every request come first: kernels before 5.11 walk the list on each
// call. Memory, futexes and signals are what V8 needs to compile and to collect garbage.

/** [x86-64, arm64]; -1: the architecture has no such call. */
type Numbers = readonly [number, number];

const ALLOWED: Record<string, Numbers> = {
  epoll_wait: [232, -1],
  epoll_pwait: [281, 22],
  recvfrom: [45, 207],
  sendto: [44, 206],
  epoll_ctl: [233, 21],
  accept4: [288, 242],
  close: [3, 57],
  writev: [20, 66],
  readv: [19, 65],
  splice: [275, 76],
  sendmsg: [46, 211],
  recvmsg: [47, 212],
  connect: [42, 203],
  shutdown: [48, 210],
  setsockopt: [54, 208],
  getsockopt: [55, 209],
  getsockname: [51, 204],
  getpeername: [52, 205],
  accept: [43, 202],
  read: [0, 63],
  write: [1, 64],
  pread64: [17, 67],
  pipe2: [293, 59],
  fcntl: [72, 25],
  fstat: [5, 80],
  lseek: [8, 62],
  dup: [32, 23],
  poll: [7, -1],
  ppoll: [271, 73],
  epoll_pwait2: [441, 441],
  epoll_create1: [291, 20],
  eventfd2: [290, 19],
  timerfd_create: [283, 85],
  timerfd_settime: [286, 86],
  timerfd_gettime: [287, 87],
  clock_gettime: [228, 113],
  clock_getres: [229, 114],
  clock_nanosleep: [230, 115],
  nanosleep: [35, 101],
  gettimeofday: [96, 169],
  madvise: [28, 233],
  mmap: [9, 222],
  munmap: [11, 215],
  mprotect: [10, 226],
  mremap: [25, 216],
  brk: [12, 214],
  pkey_mprotect: [329, 288],
  pkey_alloc: [330, 289],
  pkey_free: [331, 290],
  membarrier: [324, 283],
  futex: [202, 98],
  set_robust_list: [273, 99],
  rseq: [334, 293],
  getrandom: [318, 278],
  rt_sigaction: [13, 134],
  rt_sigprocmask: [14, 135],
  rt_sigreturn: [15, 139],
  sigaltstack: [131, 132],
  restart_syscall: [219, 128],
  tgkill: [234, 131],
  getpid: [39, 172],
  gettid: [186, 178],
  getuid: [102, 174],
  geteuid: [107, 175],
  getrusage: [98, 165],
  sysinfo: [99, 179],
  getcpu: [309, 168],
  sched_yield: [24, 124],
  sched_getaffinity: [204, 123],
  sched_getparam: [143, 121],
  sched_getscheduler: [145, 120],
  exit: [60, 93],
  exit_group: [231, 94],
};

/** Answered with "permission denied", as Landlock does, so that whoever asks takes it for an unreadable file. */
const FILES: Record<string, Numbers> = {
  open: [2, -1],
  openat: [257, 56],
  openat2: [437, 437],
  stat: [4, -1],
  lstat: [6, -1],
  newfstatat: [262, 79],
  statx: [332, 291],
  access: [21, -1],
  faccessat: [269, 48],
  faccessat2: [439, 439],
  readlink: [89, -1],
  readlinkat: [267, 78],
};

/** Answered with "try again later": V8 goes on with the threads it has. */
const THREADS: Record<string, Numbers> = {
  clone: [56, 220],
  clone3: [435, 435],
};

/** Allowed for some values of one argument only. */
const BY_ARGUMENT: { numbers: Numbers; argument: number; values: number[] }[] = [
  // socket: unix, IPv4, IPv6
  { numbers: [41, 198], argument: 0, values: [1, 2, 10] },
  // ioctl: FIONREAD, FIONBIO, FIOCLEX
  { numbers: [16, 29], argument: 1, values: [0x541b, 0x5421, 0x5451] },
  // prctl: PR_SET_NAME, PR_SET_VMA
  { numbers: [157, 167], argument: 0, values: [15, 0x53564d41] },
];

function tableOf(column: 0 | 1, audit: number, seccomp: number) {
  const present = (calls: Record<string, Numbers>) =>
    Object.values(calls).map((numbers) => numbers[column]).filter((n) => n >= 0);
  return {
    /** AUDIT_ARCH_* of the calls; anything else (32-bit calls) ends the process. */
    audit,
    /** Number of seccomp(2) itself. */
    seccomp,
    allow: present(ALLOWED),
    files: present(FILES),
    threads: present(THREADS),
    byArgument: BY_ARGUMENT.map(({ numbers, argument, values }) => ({ number: numbers[column], argument, values })),
  };
}

export const SYSCALLS = {
  x86_64: tableOf(0, 0xc000003e, 317),
  aarch64: tableOf(1, 0xc00000b7, 277),
};
