// Checks Kubernetes objects: node kubernetes.mjs OBJECTS.json OUT.mts. Each is validated against its schema, and written
// into OUT as a typed constant, so that the TypeScript compiler finds fields that do not exist.
import fs from 'node:fs';

const [, , objectsFile, outFile] = process.argv;
const lines = [];
let wrong = 0;
for (const [i, object] of JSON.parse(fs.readFileSync(objectsFile, 'utf8')).entries()) {
    const name = `${object.kind} ${object.metadata?.name}`;
    try {
        const models = await import(`kubernetes-models/${object.apiVersion}`);
        new models[object.kind](object).validate();
    } catch (error) {
        console.error(`${name}: ${error.message}`);
        wrong++;
    }
    lines.push(`import type {I${object.kind} as T${i}} from 'kubernetes-models/${object.apiVersion}';`,
        `// ${name}`, `export const o${i}: T${i} = ${JSON.stringify(object)};`);
}
fs.writeFileSync(outFile, lines.join('\n') + '\n');
process.exit(wrong ? 1 : 0);
