// The smaller texts of the configuration that need a form: names of objects, users, methods, header fields, statuses,
// paths of files. Each parser gives the canonical text or throws a FormatError.

import { checkSocketPath, formatAddress, parseAddress, parseBoundAddress } from "./address.ts";
import { FormatError } from "./format_error.ts";
import { formatNetwork, parseNetwork } from "./networks.ts";

export const NAME_PATTERN = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$";
export const TOKEN_PATTERN = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$";
export const USER_PATTERN = "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?)?$";
export const STATUS_PATTERN = "^[45][0-9][0-9]$";

const NAME = new RegExp(NAME_PATTERN);
const TOKEN = new RegExp(TOKEN_PATTERN);
const USER = new RegExp(USER_PATTERN);
const STATUS = new RegExp(STATUS_PATTERN);
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/** The body of an answer that the proxy makes itself goes out in one buffer with its head. */
export const ANSWER_BYTES_MAX = 1024;

export function parseName(text: string): string {
  if (NAME.test(text)) return text;
  throw new FormatError(
    'a name of 1 to 63 letters, digits, "-", "_" and ".", that begins with a letter or digit',
    text,
  );
}

export function parseUser(text: string): string {
  if (USER.test(text)) return text;
  throw new FormatError('a user such as "nobody", "user:group", or "" to stay', text);
}

export function parseSocketPath(text: string): string {
  if (text !== "") checkSocketPath(text, text);
  return text;
}

export function parseAbsolutePath(text: string): string {
  if (text === "" || (text.startsWith("/") && !text.includes("\0"))) return text;
  throw new FormatError("an absolute path", text, 'write "" for none');
}

export function parseFilePath(text: string): string {
  if (text !== "" && !text.includes("\0")) return text;
  throw new FormatError('the path of a file, or "stdout"', text);
}

/** Methods are case-sensitive (RFC 9110 §9.1); a known one in another case is a slip. */
export function parseMethod(text: string): string {
  if (!TOKEN.test(text)) throw new FormatError("a method such as GET", text);
  const upper = text.toUpperCase();
  if (upper === text || !METHODS.includes(upper)) return text;
  throw new FormatError("a method such as GET", text, `methods are case-sensitive: did you mean "${upper}"?`);
}

export function parseFieldName(text: string): string {
  if (TOKEN.test(text)) return text.toLowerCase();
  throw new FormatError("the name of a header field, such as X-Beta", text);
}

/** A field value as it comes out of a request: without control characters and without space around it. */
export function parseFieldValue(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/.test(text)) return text;
  throw new FormatError("a field value without control characters and without space around it", text);
}

export function parseStatus(text: string): string {
  if (STATUS.test(text)) return text;
  throw new FormatError("a status of 400 to 599", text);
}

export function parseAnswer(text: string): string {
  if (new TextEncoder().encode(text).length <= ANSWER_BYTES_MAX) return text;
  throw new FormatError(`a text of at most ${ANSWER_BYTES_MAX} bytes`, text);
}

export function canonicalAddress(text: string): string {
  return formatAddress(parseAddress(text));
}

export function canonicalBoundAddress(text: string): string {
  return formatAddress(parseBoundAddress(text));
}

export function canonicalNetwork(text: string): string {
  return formatNetwork(parseNetwork(text));
}
