// Finds imports and words in TypeScript and AssemblyScript sources without parsing them: comments, texts and regular
// expressions are taken out first (blanked; texts are numbered), so that what remains is code in which a few patterns can be
// trusted. No parser, because none reads both languages (AssemblyScript decorates functions).

export interface Import {
  specifier: string;
  line: number;
  /** `import type`, `export type … from`: gone when the program runs. */
  typesOnly: boolean;
  /** `import()`: loaded when it is reached. */
  lazy: boolean;
}

/** All imports, and exports from elsewhere, whose specifier is a literal. */
export function findImports(source: string): Import[] {
  const { code, texts } = blank(source);
  const found: Import[] = [];
  // A statement's head cannot contain quotes, `;` or `=`; the quoted number leads to the specifier.
  for (
    const match of code.matchAll(/\b(?:import|export)\b(\s+type\b(?!\s*(?:,|from\b)))?[^"=;()]*?\bfrom\s*"(\d+)"/g)
  ) {
    add(match, match[2]!, { typesOnly: match[1] !== undefined, lazy: false });
  }
  for (const match of code.matchAll(/\bimport\s*"(\d+)"/g)) add(match, match[1]!, { typesOnly: false, lazy: false });
  for (const match of code.matchAll(/\bimport\s*\(\s*"(\d+)"/g)) {
    // `import("./x.ts").Name` in the place of a type.
    const typesOnly = /(?::|=|<|\||&|\bas)\s*$/.test(code.slice(0, match.index)) &&
      /^[^)]*\)\s*\.\s*[A-Z]/.test(code.slice(match.index));
    add(match, match[1]!, { typesOnly, lazy: !typesOnly });
  }
  return found.sort((a, b) => a.line - b.line);

  function add(match: RegExpMatchArray, text: string, kind: { typesOnly: boolean; lazy: boolean }): void {
    found.push({ specifier: texts[Number(text)]!, line: lineOf(code, match.index!), ...kind });
  }
}

/** The lines in which the code, not its comments or texts, has the word. */
export function findWords(source: string, word: string): number[] {
  const { code } = blank(source);
  return [...code.matchAll(new RegExp(`\\b${word}\\b`, "g"))].map((match) => lineOf(code, match.index));
}

function lineOf(code: string, index: number): number {
  return code.slice(0, index).split("\n").length;
}

/** A `/` behind one of these begins a regular expression; behind anything else it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|await|yield))\s*$/;

interface Blanked {
  /** Line breaks stand where they stood; each quoted text is `"n"`, n its index in `texts`. */
  code: string;
  texts: string[];
}

function blank(source: string): Blanked {
  const texts: string[] = [];
  let code = "";
  let at = 0;
  /** For each open `${` of a template the number of `{` open inside it. */
  const templates: number[] = [];

  const skip = (end: number) => {
    code += source.slice(at, end).replace(/[^\n]/g, " ");
    at = end;
  };
  const matchHere = (pattern: RegExp): number => {
    pattern.lastIndex = at;
    return pattern.exec(source) ? pattern.lastIndex : source.length;
  };
  const template = () => {
    const end = matchHere(/(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y);
    if (source[end - 1] === "{") templates.push(0);
    skip(end);
  };

  while (at < source.length) {
    const c = source[at]!;
    const next = source[at + 1];
    const depth = templates.length - 1;
    if (c === "/" && next === "/") skip(matchHere(/.*/y));
    else if (c === "/" && next === "*") skip(matchHere(/\/\*[^]*?\*\//y));
    else if (c === "/" && BEFORE_REGEX.test(code.slice(-40))) {
      skip(matchHere(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y));
    } else if (c === '"' || c === "'") {
      const end = matchHere(c === '"' ? /"(?:[^"\\\n]|\\[^])*"/y : /'(?:[^'\\\n]|\\[^])*'/y);
      code += `"${texts.push(source.slice(at + 1, end - 1)) - 1}"`;
      at = end;
    } else if (c === "`") {
      code += " ";
      at++;
      template();
    } else if (c === "}" && templates[depth] === 0) {
      templates.pop();
      code += " ";
      at++;
      template();
    } else {
      if (depth >= 0 && c === "{") templates[depth]!++;
      if (depth >= 0 && c === "}") templates[depth]!--;
      code += c;
      at++;
    }
  }
  return { code, texts };
}
