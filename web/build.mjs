// Bundles src/ into dist/: app.js, app.css, index.html. --check: only say whether dist/ is fresh.
import {build} from 'esbuild';
import {readFile, writeFile, mkdir} from 'node:fs/promises';
import {gzipSync} from 'node:zlib';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const GZIP_BYTES_MAX = 60 * 1024;
const here = dirname(fileURLToPath(import.meta.url));
const result = await build({
  entryPoints: [join(here, 'src/app.js'), join(here, 'src/app.css')],
  absWorkingDir: here, bundle: true, minify: true, write: false, outdir: 'dist', format: 'iife',
  target: 'es2020', legalComments: 'none', charset: 'utf8',
});
// The licences of what is bundled ask for their notice.
const notice = '/* Contains Preact (MIT, Jason Miller), htm (Apache-2.0, Jason Miller) and uPlot (MIT, Leon Sorokin). */\n';
const files = result.outputFiles.map(f => [f.path.split('/').pop(), notice + f.text]);
for (const name of ['index.html', 'icon.svg'])
  files.push([name, await readFile(join(here, 'src', name), 'utf8')]);

let stale = 0, zipped = 0;
await mkdir(join(here, 'dist'), {recursive: true});
for (const [name, text] of files) {
  const path = join(here, 'dist', name);
  zipped += gzipSync(text, {level: 9}).length;
  if (process.argv.includes('--check')) {
    if (await readFile(path, 'utf8').catch(() => '') !== text) {
      console.error(`web/dist/${name} is not what web/src makes; run: npm run build in web/`);
      stale = 1;
    }
  } else
    await writeFile(path, text);
}
console.log(`${files.length} files, ${zipped} bytes with gzip`);
if (zipped > GZIP_BYTES_MAX) {
  console.error(`that is more than ${GZIP_BYTES_MAX}`);
  stale = 1;
}
process.exit(stale);
