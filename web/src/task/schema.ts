/** Checks a request against the JSON Schema that the API publishes, as far as that schema goes. */

export interface Schema {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  maxLength?: number;
  minimum?: number;
  exclusiveMaximum?: number;
  minItems?: number;
  uniqueItems?: boolean;
  maxProperties?: number;
  required?: string[];
  properties?: Record<string, Schema>;
  propertyNames?: Schema;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  description?: string;
}

/** Each bad field with a sentence, as the API would answer. */
export function problems(value: Record<string, unknown>, schema: Schema, prefix = ""): { field: string; message: string }[] {
  const found: { field: string; message: string }[] = [];
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    const given = value[name];
    if (given === undefined) continue;
    const inner = (part.anyOf ?? [part]).find((each) => each.properties && each.type === "object");
    if (inner && isObject(given) && !prefix) found.push(...problems(given, inner, `${name}.`));
    else if (!fits(given, part)) found.push({ field: `${prefix}${name}`, message: `must be ${part.description ?? "something else"}` });
  }
  return found;
}

/** Whether a value is what a schema describes. */
export function fits(value: unknown, schema: Schema): boolean {
  if (schema.anyOf && !schema.anyOf.some((each) => fits(value, each))) return false;
  if (schema.oneOf && schema.oneOf.filter((each) => fits(value, each)).length !== 1) return false;
  if (schema.enum && !schema.enum.includes(value)) return false;
  if (schema.const !== undefined && value !== schema.const) return false;
  if (schema.type && !hasType(value, schema.type)) return false;
  if (typeof value === "string") return fitsText(value, schema);
  if (typeof value === "number") return value >= (schema.minimum ?? -Infinity) && value < (schema.exclusiveMaximum ?? Infinity);
  if (Array.isArray(value)) return fitsList(value, schema);
  return !isObject(value) || fitsObject(value, schema);
}

function fitsText(text: string, { pattern, maxLength }: Schema): boolean {
  return text.length <= (maxLength ?? Infinity) && (pattern === undefined || new RegExp(pattern, "u").test(text));
}

function fitsList(list: unknown[], { items, minItems, uniqueItems }: Schema): boolean {
  if (list.length < (minItems ?? 0)) return false;
  if (uniqueItems && new Set(list.map((each) => JSON.stringify(each))).size < list.length) return false;
  return !items || list.every((each) => fits(each, items));
}

function fitsObject(value: Record<string, unknown>, schema: Schema): boolean {
  const { required = [], properties = {}, propertyNames, additionalProperties: others, maxProperties } = schema;
  const names = Object.keys(value);
  if (names.length > (maxProperties ?? Infinity) || required.some((name) => value[name] === undefined)) return false;
  return names.every((name) => {
    if (propertyNames && !fits(name, propertyNames)) return false;
    const own = properties[name];
    if (own) return fits(value[name], own);
    return others === undefined || (typeof others === "boolean" ? others : fits(value[name], others));
  });
}

function hasType(value: unknown, type: string): boolean {
  switch (type) {
    case "null": return value === null;
    case "array": return Array.isArray(value);
    case "object": return isObject(value);
    case "integer": return Number.isInteger(value);
    default: return typeof value === type;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The schema of a task in an OpenAPI description: the one that has an image and limits. */
export function taskSchema(description: { components?: { schemas?: Record<string, Schema> } }): Schema | null {
  const all = Object.entries(description.components?.schemas ?? {});
  const fitting = all.filter(([, schema]) => schema.properties?.["image"] && schema.properties["limits"]);
  return fitting.sort(([a], [b]) => Number(b === "TaskRequest") - Number(a === "TaskRequest"))[0]?.[1] ?? null;
}
