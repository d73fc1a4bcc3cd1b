// engine_ort.mjs - inference of an ONNX network in ONNX Runtime, as a line of JSON.
//
//   node bench/engine_ort.mjs FILE.onnx [--threads 1] [--seconds 2]
//
// Batch 1, all graph optimisations, sequential execution, as many threads inside an operator as
// asked for. Install ONNX Runtime outside the repository and point ORT_DIR at it:
//   mkdir ~/ort && cd ~/ort && npm init -y && npm install --ignore-scripts onnxruntime-node
//   export ORT_DIR=~/ort
import {createRequire} from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import {parseArgs} from 'node:util';

function die(text) {
    process.stderr.write(`engine_ort: ${text}\n`);
    process.exit(3);
}

const {values, positionals} = parseArgs({
    allowPositionals: true,
    options: {threads: {type: 'string', default: '1'}, seconds: {type: 'string', default: '2'}},
});
const [model] = positionals;
const threads = Number(values.threads), seconds = Number(values.seconds);
if (!model) die('an ONNX file is needed');
if (!process.env.ORT_DIR) die('set ORT_DIR to the folder with node_modules/onnxruntime-node');
const require = createRequire(path.resolve(process.env.ORT_DIR, 'x.js'));
const ort = require('onnxruntime-node');

const now = () => Number(process.hrtime.bigint()) / 1e6;

function rssMib() {
    const text = fs.readFileSync('/proc/self/status', 'ascii');
    return ['VmRSS', 'VmHWM'].map((k) => Number(text.match(new RegExp(`${k}:\\s+(\\d+)`))[1]) / 1024);
}

function noise(count) {
    const data = new Float32Array(count);
    let x = 12345;
    for (let i = 0; i < count; i++) {
        x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
        data[i] = (x >>> 8) / (1 << 22) - 2;
    }
    return data;
}

const opened = now();
const session = await ort.InferenceSession.create(model, {
    graphOptimizationLevel: 'all', executionMode: 'sequential', intraOpNumThreads: threads,
    interOpNumThreads: 1, logSeverityLevel: 3,
}).catch((e) => die(e.message));
const openMs = now() - opened;
const dims = session.inputMetadata[0].shape.map((d, i) => (i ? Number(d) : 1));
const input = new ort.Tensor('float32', noise(dims.reduce((a, b) => a * b)), dims);
const feeds = {[session.inputNames[0]]: input};
for (let i = 0; i < 5; i++) await session.run(feeds);
const times = [];
for (const end = now() + seconds * 1e3; times.length < 3 || now() < end;) {
    const start = now();
    await session.run(feeds);
    times.push(now() - start);
}
times.sort((a, b) => a - b);
const [rss, peak] = rssMib();
console.log(JSON.stringify({
    engine: 'onnxruntime', version: require('onnxruntime-node/package.json').version, mode: 'infer',
    batch: 1, threads, precision: 'f32',
    ms: (times[times.length >> 1] + times[(times.length - 1) >> 1]) / 2, best_ms: times[0],
    runs: times.length, open_ms: openMs, rss_mib: rss, peak_rss_mib: peak,
}));
