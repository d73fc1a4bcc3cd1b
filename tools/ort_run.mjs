// ort_run.mjs - run an ONNX file in ONNX Runtime, as the independent check of ours (development
// only, nothing of attune depends on it).
//
//   node tools/ort_run.mjs MODEL.onnx OUT_DIR [NAME=FILE[:1x3x384x512]]...
//
// FILE holds little-endian float32 in row-major order; dims default to the model's own. An input
// without a file gets a fixed pseudo-random pattern in [-1, 1), which is also written to
// OUT_DIR/in_INDEX.f32. Output INDEX goes to OUT_DIR/out_INDEX.f32, and one JSON line per tensor to
// standard output: {"kind": "input"|"output", "index", "name", "dims", "file"}.
//
// Options before the model: --batch N (dynamic and leading dims), --optimize 0|1 (default 0: graph
// optimisations of the runtime off, so that it computes what the file says).
//
// Install ONNX Runtime outside the repository and point ORT_DIR at it (the install script would
// fetch GPU libraries, which are not needed):
//   mkdir ~/ort && cd ~/ort && npm init -y && npm install --ignore-scripts onnxruntime-node
//   export ORT_DIR=~/ort
import {createRequire} from 'node:module';
import fs from 'node:fs';
import path from 'node:path';

function die(text) {
    process.stderr.write(`ort_run: ${text}\n`);
    process.exit(1);
}

const options = {batch: 0, optimize: 0};
const args = process.argv.slice(2);
while (args.length && args[0].startsWith('--')) {
    const key = args.shift().slice(2);
    if (!(key in options) || !args.length) die(`unknown option --${key}`);
    options[key] = Number(args.shift());
}
const [model, outDir, ...given] = args;
if (!outDir) die('usage: ort_run.mjs [--batch N] [--optimize 0|1] MODEL.onnx OUT_DIR [NAME=FILE[:DIMS]]...');
if (!process.env.ORT_DIR) die('set ORT_DIR to the folder with node_modules/onnxruntime-node');
const ort = createRequire(path.resolve(process.env.ORT_DIR, 'x.js'))('onnxruntime-node');

const files = new Map();
for (const pair of given) {
    const at = pair.lastIndexOf('=');
    if (at < 1) die(`'${pair}' is not NAME=FILE`);
    const m = pair.slice(at + 1).match(/^(.*?)(?::(\d+(?:x\d+)*))?$/);
    files.set(pair.slice(0, at), {file: m[1], dims: m[2] ? m[2].split('x').map(Number) : null});
}

function report(kind, index, name, dims, file) {
    console.log(JSON.stringify({kind, index, name, dims: Array.from(dims, Number), file}));
}

function pattern(count) {
    const data = new Float32Array(count);
    let x = 12345;
    for (let i = 0; i < count; i++) {
        x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
        data[i] = (x >>> 8) / (1 << 23) - 1;
    }
    return data;
}

function input(meta, index) {
    const want = files.get(meta.name);
    files.delete(meta.name);
    const dims = want?.dims ?? meta.shape.map((d, i) => (i === 0 && options.batch) || (d > 0 ? Number(d) : 1));
    const count = dims.reduce((a, b) => a * b, 1);
    let file = want?.file;
    let data;
    if (file) {
        const bytes = fs.readFileSync(file);
        if (bytes.length !== count * 4) die(`${file}: ${bytes.length} bytes, expected ${count * 4}`);
        data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    } else {
        data = pattern(count);
        file = path.join(outDir, `in_${index}.f32`);
        fs.writeFileSync(file, Buffer.from(data.buffer));
    }
    report('input', index, meta.name, dims, file);
    return new ort.Tensor('float32', data, dims);
}

fs.mkdirSync(outDir, {recursive: true});
const session = await ort.InferenceSession.create(model, {
    graphOptimizationLevel: options.optimize ? 'all' : 'disabled',
    intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3,
}).catch((e) => die(e.message));
const feeds = {};
session.inputMetadata.forEach((meta, i) => { feeds[meta.name] = input(meta, i); });
if (files.size) die(`the model has no input '${[...files.keys()][0]}'`);
const out = await session.run(feeds).catch((e) => die(e.message));
session.outputNames.forEach((name, i) => {
    const t = out[name];
    const file = path.join(outDir, `out_${i}.f32`);
    fs.writeFileSync(file, Buffer.from(Float32Array.from(t.data, Number).buffer));
    report('output', i, name, t.dims, file);
});
