// A program that is spoken to: what it says on both outputs, with an input that ends when there was time for an answer.

/** What openssl s_client ends with its input: so the answer to that is given time to come. */
const ANSWER_MS = 300;

/** What a program says on both outputs, with `input` at its standard input. */
export async function say(program: string, args: string[], input = ""): Promise<string> {
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input)).catch(() => {});
  const output = child.output();
  if (input !== "") await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
  await writer.close().catch(() => {});
  const { stdout, stderr } = await output;
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}
