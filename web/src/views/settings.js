// What is in force, where it comes from, and what it means.
import {useState} from 'preact/hooks';
import {useResource} from '../store.js';
import {Badge, Empty, html, Search, Select, Trouble} from '../ui.js';

const text = v => v === true ? 'yes' : v === false ? 'no' : v === '' || v == null ? '(none)' : String(v);
const same = row => row.origin === 'default' || text(row.value) === text(row.default) || row.default !== '' && Number(row.value) === Number(row.default)
  || String(row.value) === row.default;
const origin = row => row.origin === 'default' ? '' : row.origin === 'flag' ? ', from the command line' : `, from ${row.origin}`;

const Row = ({row}) => html`<div class="setting" data-setting=${row.name}><dt><code>${row.name}</code>${!same(row) && html` <${Badge} tone="warn">changed<//>`}</dt>
  <dd><b data-value="value">${text(row.value)}</b>${row.unit ? ` ${row.unit}` : ''}
    <span class="soft"> ${same(row) ? 'the default' : `default ${text(row.default)}`}${origin(row)}; ${row.live ? 'a reload changes it' : 'read at the start'}</span>
    <p class="soft">${row.help}</p></dd></div>`;

const sections = rows => {
  const all = new Map();
  for (const row of rows)
    all.set(row.section, [...all.get(row.section) ?? [], row]);
  return [...all];
};

const Cameras = ({cameras}) => html`<section class="card"><h2>Cameras of the configuration file</h2>
  ${cameras.length === 0 ? html`<p class="soft">It names none: cameras here have computers of their own.</p>` : cameras.map(c => html`<div key=${c.id}><h3><a href=${`#/camera/${c.id}`}>${c.id}</a></h3>
    <dl class="facts">${c.settings.filter(row => !same(row)).map(row => html`<dt key=${row.name}><code>${row.name}</code></dt>
      <dd title=${row.help}>${text(row.value)} ${row.unit}<span class="soft">${origin(row)}</span></dd>`)}</dl></div>`)}</section>`;

export const Settings = () => {
  const [find, setFind] = useState(''), [only, setOnly] = useState('all');
  const answer = useResource('v1/settings', 10000), data = answer.data, needle = find.toLowerCase();
  const rows = (data?.settings ?? []).filter(r => (r.name + ' ' + r.help).toLowerCase().includes(needle) && (only === 'all' || !same(r)));
  return html`<h1 tabindex="-1">Settings</h1>
    <p class="soft">As the server has them now. They are changed in its configuration file or by its options; passwords and tokens are not shown.</p>
    <div class="tools"><${Search} label="find" value=${find} onInput=${setFind}/>
      <${Select} label="show" value=${only} onChange=${setOnly} options=${[['all', 'all settings'], ['changed', 'those that are not the default']]}/></div>
    <${Trouble} answer=${answer} what="The settings"/>
    ${data && rows.length === 0 && html`<${Empty}>No setting fits.<//>`}
    ${sections(rows).map(([title, some]) => html`<section class="card" key=${title}>${title && html`<h2>${title}</h2>`}<dl class="settings">${some.map(r => html`<${Row} key=${r.name} row=${r}/>`)}</dl></section>`)}
    ${data && html`<${Cameras} cameras=${data.cameras}/>`}`;
};
