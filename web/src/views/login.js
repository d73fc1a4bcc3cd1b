// Who asks? On a server without users: how the first one is added.
import {useEffect, useRef, useState} from 'preact/hooks';
import {login} from '../store.js';
import {html} from '../ui.js';

export const Login = ({users}) => {
  const [error, setError] = useState(''), [busy, setBusy] = useState(false), user = useRef(), password = useRef();
  useEffect(() => user.current.focus(), []);
  const submit = async e => {
    e.preventDefault();
    setBusy(true);
    setError('');
    try {
      await login(user.current.value, password.current.value);
    } catch (refusal) {
      setError(refusal.status === 429 ? `Too many tries. ${refusal.message}` : refusal.status === 401 ? 'The name or the password is wrong.' : refusal.message);
      setBusy(false);
    }
  };
  return html`<form class="card login" onSubmit=${submit}><h1 tabindex="-1">attune</h1>
    ${users === false ? html`<div class="first"><p><b>This server has no users yet.</b> Whoever runs it adds the first, on the server:</p>
      <pre><code>sudo attune user add NAME --role operate --state /var/lib/attune</code></pre>
      <p class="soft"><code>/var/lib/attune</code> is where the package keeps its state; of another server its log names the folder, at the start. The command asks for a password; then log in here.</p></div>`
    : html`<p class="soft">Log in to see the cameras.</p>`}
    <label class="field">name<input ref=${user} name="user" autocomplete="username" required/></label>
    <label class="field">password<input ref=${password} type="password" name="password" autocomplete="current-password" required/></label>
    ${error && html`<p class="notice" role="alert">${error}</p>`}
    <button class="primary" disabled=${busy}>${busy ? 'one moment…' : 'log in'}</button>
    ${users !== false && html`<p class="soft">No account? Whoever runs the server adds users with <code>attune user add NAME</code>.</p>`}</form>`;
};
