// The console. What comes from documents is text: it goes into the page through
// textContent alone. The key stays in this page's memory.
'use strict';

const $ = (id) => document.getElementById(id);
let running = null;  // AbortController of the question being answered

function headers(more) {
  const all = Object.assign({}, more);
  const key = $('key').value.trim();
  if (key) all.Authorization = 'Bearer ' + key;
  return all;
}

function showError(error) {
  $('error').hidden = !error;
  $('error').textContent = error ? String(error.message || error) : '';
}

async function call(path, options) {
  const reply = await fetch(path, Object.assign({cache: 'no-store', credentials: 'omit'}, options,
      {headers: headers(options && options.headers)}));
  if (reply.ok) return reply;
  let message = reply.status + ' ' + reply.statusText;
  try {
    message = (await reply.json()).message || message;
  } catch (ignored) {
    // No JSON: the status is all there is.
  }
  throw new Error(message);
}

function row(table, cells) {
  const tr = table.tBodies[0].insertRow();
  for (const cell of cells) tr.insertCell().textContent = cell;
  return tr;
}

function clear(table) {
  table.tBodies[0].replaceChildren();
}

function pathOf(name) {
  return '/v1/' + name.split('/').map(encodeURIComponent).join('/');
}

function milliseconds(duration) {
  return (parseFloat(duration || '0') * 1000).toFixed(2) + ' ms';
}

async function refresh() {
  try {
    const info = await (await call('/v1/server')).json();
    $('health').textContent = 'up, version ' + info.version + ', ' + (info.model || 'extractive answers');
    const chosen = $('collection').value;
    const list = [];
    let token = '';
    do {
      const page = await (await call('/v1/collections?pageSize=1000&pageToken=' + encodeURIComponent(token))).json();
      list.push(...(page.collections || []));
      token = page.nextPageToken || '';
    } while (token);
    clear($('collections'));
    $('collection').replaceChildren();
    for (const collection of list) {
      const id = collection.name.slice('collections/'.length);
      row($('collections'), [id, collection.documentCount || '0', collection.chunkCount || '0']);
      $('collection').add(new Option(id, id, false, id === chosen));
    }
    showError(null);
  } catch (error) {
    $('health').textContent = 'not reached';
    showError(error);
  }
}

// The data of each event of a stream, parsed.
async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  while (true) {
    const {value, done} = await reader.read();
    if (done) return;
    buffer += value;
    for (let end; (end = buffer.indexOf('\n\n')) >= 0; buffer = buffer.slice(end + 2)) {
      const lines = buffer.slice(0, end).split('\n');
      const data = lines.find((line) => line.startsWith('data: '));
      if (!data) continue;
      const parsed = JSON.parse(data.slice(6));
      if (lines.includes('event: error')) throw new Error(parsed.message);
      yield parsed;
    }
  }
}

function legOf(passage, leg) {
  const found = (passage.legScores || []).find((score) => score.leg === leg);
  if (!found) return '-';
  return (found.rank || '-') + ' (' + (found.score || 0).toFixed(3) + ')';
}

function showPassages(passages) {
  for (const passage of passages) {
    row($('passages'), [
      passage.rank, (passage.score || 0).toFixed(4), legOf(passage, 'LEG_BM25'), legOf(passage, 'LEG_DENSE'),
      (passage.title ? passage.title + ': ' : '') + passage.text]);
  }
}

async function showSource(citation) {
  try {
    const reply = await call(pathOf(citation.document) + '?version=' + citation.version);
    const bytes = new TextEncoder().encode((await reply.json()).document.text);
    // Ranges count bytes.
    const range = citation.textRange || {};
    const begin = Number(range.begin || 0);
    const end = Number(range.end || 0);
    const text = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
    const mark = document.createElement('mark');
    mark.textContent = text(begin, end);
    $('source').replaceChildren(text(0, begin), mark, text(end));
    $('source-name').textContent = citation.document + ', version ' + citation.version;
    mark.scrollIntoView({block: 'center'});
    showError(null);
  } catch (error) {
    showError(error);
  }
}

function showCitation(citation) {
  const mark = document.createElement('sup');
  mark.textContent = '[' + citation.number + ']';
  $('answer').append(mark);
  const item = document.createElement('li');
  item.value = citation.number;
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = (citation.title || citation.document) + ': “' + citation.quote + '”';
  button.addEventListener('click', () => showSource(citation));
  item.append(button);
  $('citations').append(item);
}

async function ask(event) {
  event.preventDefault();
  if (running) running.abort();
  const current = running = new AbortController();
  $('stop').disabled = false;
  $('answer').textContent = '';
  $('end').textContent = '';
  $('citations').replaceChildren();
  clear($('stages'));
  clear($('passages'));
  showError(null);
  try {
    const reply = await call('/v1/collections/' + encodeURIComponent($('collection').value) + ':answer', {
      method: 'POST',
      headers: {'Content-Type': 'application/json'},
      body: JSON.stringify({question: $('question').value, explain: true}),
      signal: current.signal,
    });
    for await (const one of events(reply)) {
      if (one.stage) row($('stages'), [one.stage.stage, milliseconds(one.stage.start), milliseconds(one.stage.elapsed)]);
      if (one.retrieved) showPassages(one.retrieved.passages || []);
      if (one.delta) $('answer').append(one.delta);
      if (one.citation) showCitation(one.citation);
      if (one.final) {
        const reason = (one.final.finishReason || '').replace('FINISH_REASON_', '').toLowerCase();
        const left = one.final.degraded || [];
        $('end').textContent = reason + (one.final.abstainReason ? ' (' + one.final.abstainReason + ')' : '') +
            (left.length ? '; left out: ' + left.join(', ') : '');
      }
    }
  } catch (error) {
    if (error.name !== 'AbortError') showError(error);
  } finally {
    if (running === current) {
      running = null;
      $('stop').disabled = true;
    }
  }
}

async function ingest(event) {
  event.preventDefault();
  const file = $('file').files[0];
  $('ingested').textContent = '…';
  try {
    const reply = await call(
        '/v1/collections/' + encodeURIComponent($('collection').value || 'default') + '/documents:upload?document_id=' +
            encodeURIComponent(file.name),
        {method: 'POST', headers: {'Content-Type': 'application/octet-stream'}, body: file});
    const outcome = (await reply.json()).outcome.replace('OUTCOME_', '').toLowerCase();
    $('ingested').textContent = file.name + ': ' + outcome;
    await refresh();
  } catch (error) {
    $('ingested').textContent = '';
    showError(error);
  }
}

$('ask').addEventListener('submit', ask);
$('stop').addEventListener('click', () => running && running.abort());
$('ingest').addEventListener('submit', ingest);
$('refresh').addEventListener('click', refresh);
$('key').addEventListener('change', refresh);
refresh();
