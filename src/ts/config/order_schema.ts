// The JSON Schema of an order, for other languages, derived from the shapes of the orders. It accepts everything that
// `applyOrder` accepts; whether an order fits a state is for the state to say.

import { type JsonSchema, schemaOf } from "./json_schema.ts";
import { ORDER_FORMS } from "./order_shapes.ts";

/** Draft 2020-12: one of the orders. */
export function orderSchema(): JsonSchema {
  const forms = Object.values(ORDER_FORMS).flatMap((verbs) => Object.values(verbs));
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Order of kakehi",
    description: "One change to the state. Values are in the form of the configuration file.",
    oneOf: forms.map(schemaOf),
  };
}
