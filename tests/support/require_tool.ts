// Tests that need a program of the machine (curl, wrk, nginx …). Where it is missing a developer's run leaves the test
// out and says so; in CI (the variable CI is set) it fails, since a test that never runs proves nothing.

const missing = new Map<string, boolean>();

function isMissing(tool: string): boolean {
  const known = missing.get(tool);
  if (known !== undefined) return known;
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  const found = folders.some((folder) => {
    try {
      return folder !== "" && Deno.statSync(`${folder}/${tool}`).isFile;
    } catch {
      return false;
    }
  });
  missing.set(tool, !found);
  return !found;
}

/** Whether a test that needs `tools` is to be left out. Use as `ignore:` of a test. Throws in CI. */
export function requireTools(...tools: string[]): boolean {
  const absent = tools.filter(isMissing);
  if (absent.length === 0) return false;
  const words = `${absent.join(", ")} not found in PATH`;
  if (Deno.env.get("CI")) throw new Error(`${words}; install it, tests that need it must run in CI`);
  console.warn(`left out: ${words}`);
  return true;
}
