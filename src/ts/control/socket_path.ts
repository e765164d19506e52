// Where main's control socket is, when nobody says so: the same answer for main and for the commands that look for it.

/** `configured` wins when it is not "". */
export function controlSocketPath(configured = ""): string {
  if (configured !== "") return configured;
  const uid = Deno.uid() ?? 0;
  if (uid === 0) return "/run/kakehi.sock";
  const runtimeDir = Deno.env.get("XDG_RUNTIME_DIR");
  return runtimeDir ? `${runtimeDir}/kakehi.sock` : `/tmp/kakehi-${uid}.sock`;
}
