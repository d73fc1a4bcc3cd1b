// The server's interface as the page needs it; docs/api.md.

export const getJson = async path => {
  const answer = await fetch(path, {cache: 'no-store'});
  if (!answer.ok)
    throw new Error((await answer.json().catch(() => ({}))).error || `status ${answer.status}`);
  return answer.json();
};

const KINDS = ['server_started', 'camera_joined', 'camera_back', 'labelled', 'sampling_changed', 'accepted',
  'rejected', 'phase_failed', 'training_dropped', 'chunk_untrained', 'worker_restarted', 'chunk_failed',
  'backlog_full', 'stream_failed', 'stream_lost', 'stream_back', 'grouped', 'regrouped', 'group_joined', 'group_left',
  'group_refused', 'groups_lost', 'model_kept', 'trial_failed', 'drift_request', 'camera_fault', 'camera_well'];
const RETRY_MS = 3000;

// Calls onEvent for each event and onState(true or false) as the stream comes and goes; for ever.
export const follow = (onEvent, onState) => {
  let source, last = 0;
  const open = () => {
    source = new EventSource('v1/events' + (last ? `?after=${last}` : ''));
    source.onopen = () => onState(true);
    source.onerror = () => {
      onState(false);
      // The browser tries again by itself unless the server answered with an error.
      if (source.readyState === EventSource.CLOSED)
        setTimeout(open, RETRY_MS);
    };
    for (const kind of KINDS)
      source.addEventListener(kind, e => {
        const event = JSON.parse(e.data);
        last = event.id;
        onEvent(event);
      });
  };
  open();
};
