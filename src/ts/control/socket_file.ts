// The file of the control socket: it is taken from a main that is dead, never from one that lives, and removed only by the one
// whose it is.

/** The socket of another main that lives. */
export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
}

/**
 * Makes the path free for a socket of ours: removes one whose main is dead. Throws AlreadyRunning when another main answers
 * there, and when the path is anything but a socket.
 */
export async function claimSocketPath(path: string): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  if (!info.isSocket) throw new Error(`control socket ${path}: the path exists and is not a socket`);
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    return Deno.removeSync(path);
  }
  throw new AlreadyRunning(
    `another proxy is running: ${path} answers (a second one needs its own --socket or control.socket)`,
  );
}

/** The socket file that lies at a path now, for who removes it later. */
export class SocketFile {
  readonly #inode: number | null;

  constructor(private readonly path: string) {
    this.#inode = inodeOf(path);
  }

  /** The mode lets others in than the owner; who they are is asked of the kernel. */
  openToOthers(open: boolean): void {
    Deno.chmodSync(this.path, open ? 0o666 : 0o600);
  }

  /** Unless the path has become somebody else's. */
  remove(): void {
    if (inodeOf(this.path) === this.#inode) Deno.removeSync(this.path);
  }
}

function inodeOf(path: string): number | null {
  try {
    return Deno.lstatSync(path).ino;
  } catch {
    return null;
  }
}
