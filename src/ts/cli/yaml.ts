// Values as YAML. A file of its own, because the library is loaded only by the commands that write it.

import { stringify } from "yaml";

/** In block style, without anchors, and no line is folded. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
