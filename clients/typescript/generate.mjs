// Types of the service's OpenAPI document: node generate.mjs [URL or file of openapi.json] [output]
import { writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import openapi, { astToString } from "openapi-typescript";
import ts from "typescript";

const [source = "http://127.0.0.1:8000/openapi.json", output = "src/schema.ts"] = process.argv.slice(2);
const blob = ts.factory.createTypeReferenceNode("Blob");

const types = await openapi(/^https?:/.test(source) ? new URL(source) : pathToFileURL(source), {
  // A field with a default may be left out of a request.
  defaultNonNullable: false,
  // Files: what fetch takes and answers.
  transform: (schema) => (schema.format === "binary" ? blob : undefined),
});
await writeFile(output, astToString(types));
