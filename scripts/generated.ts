// Documents that are made from the program: written, or, with --check, compared with what stands there.

/** Exit code: 0, or 1 when the document is another one. `source`: what it is made from, as in "not what the schema says". */
export function writeOrCheck(name: string, text: string, source: string, args: readonly string[]): number {
  const document = new URL(`../${name}`, import.meta.url);
  if (!args.includes("--check")) {
    Deno.writeTextFileSync(document, text);
    return 0;
  }
  if (text === currentText(document)) return 0;
  console.error(`${name} is not what the ${source}: run \`deno task gen\``);
  return 1;
}

function currentText(document: URL): string | null {
  try {
    return Deno.readTextFileSync(document);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
