import {MaskPainter} from './mask.js';

const $ = id => document.getElementById(id);
const show = (id, visible) => { $(id).hidden = !visible; };
const kMostHistory = 40;

let info = null;     // /v1/info
let source = null;   // {blob, name, width, height, url}: what is edited
let edit = null;     // the finished edit that is shown
let chosen = 0;      // of its results
let own = false;     // whether the model's own picture is shown
let running = null;  // {id, events, cancelled}
const past = [];     // finished edits, the oldest first
const mask = new MaskPainter($('mask'));

// ---- the server ----

class Refused extends Error {
  constructor(status, error, wait) {
    super(error.message);
    Object.assign(this, {status, code: error.code, wait});
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused(0, {message: 'The server does not answer. Is it still running? Try again.'}, 0);
  }
  if (response.ok) return response;
  const text = await response.text();
  let error = {message: `The server answered ${response.status}. Try again.`};
  try { error = JSON.parse(text).error; } catch { /* a proxy's own page */ }
  throw new Refused(response.status, error, Number(response.headers.get('Retry-After') || 0));
}

async function askForKey() {
  $('key-dialog').showModal();
  await new Promise(done => {
    $('key-form').onsubmit = async event => {
      event.preventDefault();
      try {
        await ask('/session', {method: 'POST', headers: {Authorization: 'Bearer ' + $('key').value}});
        $('key').value = '';
        $('key-dialog').close();
        done();
      } catch (error) {
        $('key-error').textContent = error.status === 401 ? 'This is not the key. Try again.' : error.message;
        show('key-error', true);
      }
    };
  });
}

// With the key where one is asked for.
async function askWithKey(path, options) {
  for (;;) {
    try {
      return await ask(path, options);
    } catch (error) {
      if (error.status !== 401) throw error;
      await askForKey();
    }
  }
}

// ---- the picture ----

function say(text) { $('status').textContent = text; }

function fail(text) {
  $('error').textContent = text;
  show('error', Boolean(text));
}

// {blob, width, height}: smaller, where the server would refuse it.
async function fitting(blob) {
  const {body, pixels} = info.limits;
  const picture = await createImageBitmap(blob);
  const {width, height} = picture;
  let shrink = Math.min(1, Math.sqrt(pixels / (width * height)));
  if (blob.size > body - 100000) shrink = Math.min(shrink, .7);
  const known = ['image/png', 'image/jpeg', 'image/webp'].includes(blob.type);
  if (shrink === 1 && known) {
    picture.close();
    return {blob, width, height};
  }
  const canvas = document.createElement('canvas');
  canvas.width = Math.floor(width * shrink);
  canvas.height = Math.floor(height * shrink);
  canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  if (!known) {
    const png = await new Promise(done => canvas.toBlob(done));
    return png.size > body - 100000 ? fitting(png) : {blob: png, width: canvas.width, height: canvas.height};
  }
  say(`The photo was scaled down to ${canvas.width} × ${canvas.height}, as much as this server takes.`);
  const smaller = await new Promise(done => canvas.toBlob(done, 'image/jpeg', .92));
  return smaller.size > body - 100000 ? fitting(smaller) : {blob: smaller, width: canvas.width, height: canvas.height};
}

async function open(blob, name) {
  fail('');
  say('');
  try {
    setSource({name: name || 'photo', ...await fitting(blob)});
    $('prompt').focus();
  } catch {
    fail('This file is no picture that the browser can read. Choose a PNG, JPEG or WebP.');
  }
}

function setSource(next) {
  if (!next.url) next.url = URL.createObjectURL(next.blob);
  source = next;
  edit = null;
  mask.reset(source.width, source.height);
  $('source-image').src = source.url;
  $('source-name').textContent = `${source.name}, ${source.width} × ${source.height}`;
  $('full').disabled = $('mask-open').disabled = false;
  $('full').checked = source.width > info.defaults.width;
  closeMask();
  showSource();
}

// The largest that fits into the stage, small pictures enlarged.
function fit(width, height) {
  const room = $('drop').clientWidth, most = Math.max(320, window.innerHeight * .68);
  const scale = Math.min(room / width, most / height);
  $('view').style.width = `${Math.floor(width * scale)}px`;
  $('view').style.height = `${Math.floor(height * scale)}px`;
}

function showSource() {
  for (const id of ['before', 'line', 'slider', 'tag-before', 'tag-after', 'result', 'several', 'empty']) show(id, false);
  show('view', true);
  show('source', true);
  $('after').src = source.url;
  $('after').alt = 'The photo, ' + source.name;
  fit(source.width, source.height);
  showMask();
  showHistory();
}

function showMask() {
  show('mask', !$('painting').hidden || (!mask.empty && !edit));
  $('mask-open').textContent = mask.empty ? 'Only a part …' : 'Change the part …';
}

function closeMask() {
  show('painting', false);
  if (source) showMask();
}

// ---- an edit ----

const seedOf = () => {
  if (!$('random').checked && $('seed').value) return $('seed').value;
  $('seed').value = String(crypto.getRandomValues(new Uint32Array(1))[0]);
  return $('seed').value;
};

function wanted(maskBlob) {
  const form = new FormData();
  form.append('prompt', $('prompt').value.trim());
  form.append('image', source.blob, source.name);
  if (maskBlob) form.append('mask', maskBlob, 'mask.png');
  form.append('n', $('count').value || '1');
  form.append('seed', seedOf());
  if ($('steps').value) form.append('steps', $('steps').value);
  if ($('guidance').value) form.append('guidance', $('guidance').value);
  const lora = $('lora').value;
  form.append('lora', lora === 'none' ? 'none' : `${lora}:${$('scale').value || 1}`);
  if ($('full').checked) form.append('output_size', 'source');
  form.append('previews', '50');
  return form;
}

// Waits and tries again while the queue is full.
async function submit(form) {
  for (;;) {
    try {
      return await (await askWithKey('/v1/jobs', {method: 'POST', body: form})).json();
    } catch (error) {
      if (error.status !== 503 || !error.wait || running.cancelled) throw error;
      say('The server is busy. Trying again …');
      await new Promise(done => setTimeout(done, 1000 * error.wait));
    }
  }
}

async function start() {
  if (running) return;
  if (!source) return fail('Choose a photo first.');
  if (!$('prompt').value.trim()) return fail('Say what is to be changed, as in “make it winter”.');
  fail('');
  closeMask();
  const from = source;
  running = {cancelled: false};
  $('go').disabled = true;
  show('running', true);
  $('progress').removeAttribute('value');
  say('Sending …');
  try {
    const maskBlob = await mask.blob();
    const form = wanted(maskBlob);
    showSource();
    $('view').classList.add('busy');
    const job = await submit(form);
    running.id = job.id;
    if (running.cancelled) await stop();
    const done = await follow(job.id, from);
    if (done) await finish(done, from, maskBlob);
  } catch (error) {
    say('');
    fail(error.message);
  }
  running = null;
  $('go').disabled = false;
  $('view').classList.remove('busy');
  show('running', false);
}

// Until the job ends: the job, or null where it was cancelled.
function follow(id, from) {
  return new Promise((done, failed) => {
    const events = new EventSource(`/v1/jobs/${id}/events`);
    running.events = events;
    const on = (name, act) => events.addEventListener(name, e => act(JSON.parse(e.data)));
    on('queued', job => say(job.position ? `Waiting: ${job.position} before this one.` : 'Next in line …'));
    on('progress', progressed);
    on('preview', preview => {
      $('after').src = 'data:image/png;base64,' + preview.b64_png;
      $('after').alt = 'The edit as it comes to be, step ' + preview.step;
      fit(from.width, from.height);
    });
    on('succeeded', job => { events.close(); done(job); });
    on('cancelled', () => { events.close(); say('Cancelled.'); showSource(); done(null); });
    on('failed', job => { events.close(); showSource(); failed(new Error(job.error.message)); });
    // The browser connects again by itself, unless the job is gone.
    events.onerror = () => {
      if (events.readyState !== EventSource.CLOSED) return say('Connecting again …');
      events.close();
      showSource();
      failed(new Error('The server no longer knows this edit. Was it started anew? Press Edit again.'));
    };
  });
}

function progressed(job) {
  const p = job.progress;
  const words = {'denoising': `Step ${p.step} of ${p.steps || '…'}`}[p.stage] || p.stage.charAt(0).toUpperCase() + p.stage.slice(1) + ' …';
  say(p.images > 1 && p.steps ? `Picture ${p.image + 1} of ${p.images}: ${words}` : words);
  if (p.steps) $('progress').value = (p.image + p.step / p.steps) / p.images * .95;
}

async function stop() {
  running.cancelled = true;
  say('Cancelling …');
  if (running.id) await ask('/v1/jobs/' + running.id, {method: 'DELETE'}).catch(() => {});
}

async function finish(job, from, maskBlob) {
  const results = await Promise.all(job.results.map(async result => {
    const blob = await (await ask(result.url)).blob();
    const model = result.model_url ? await (await ask(result.model_url)).blob() : null;
    return {...result, blob, url: URL.createObjectURL(blob), model: model && URL.createObjectURL(model)};
  }));
  past.push({source: from, prompt: $('prompt').value.trim(), results, maskBlob});
  while (past.length > kMostHistory) {
    for (const old of past.shift().results) URL.revokeObjectURL(old.url);
  }
  say(results.length > 1 ? `${results.length} results.` : 'Done.');
  showEdit(past[past.length - 1], 0);
}

// ---- results ----

const nameOf = (from, result) => `${from.name.replace(/\.[^.]*$/, '')}-edit-${result.seed}.${result.format}`;

function showEdit(next, index) {
  edit = next;
  chosen = index;
  own = false;
  source = edit.source;
  for (const id of ['view', 'before', 'line', 'slider', 'tag-before', 'tag-after', 'result', 'source']) show(id, true);
  for (const id of ['empty', 'mask']) show(id, false);
  $('source-image').src = source.url;
  $('source-name').textContent = `${source.name}, ${source.width} × ${source.height}`;
  $('before').src = source.url;
  $('before').alt = 'Before';
  fit(source.width, source.height);
  slide(50);
  const several = edit.results.map((result, i) => thumb(result.url, `seed ${result.seed}`, () => showEdit(edit, i), i === chosen));
  $('several').replaceChildren(...several);
  show('several', edit.results.length > 1);
  showResult();
  showHistory();
}

function showResult() {
  const result = edit.results[chosen];
  $('after').src = own ? result.model : result.url;
  $('after').alt = `After: ${edit.prompt}`;
  $('download').href = $('after').src;
  $('download').download = nameOf(source, result);
  show('own', Boolean(result.model));
  $('own').setAttribute('aria-pressed', String(own));
  const {edit: settings, adapters = [], model = {}} = result.recipe || {};
  const lines = {Instruction: edit.prompt, Seed: result.seed, Size: `${result.width} × ${result.height}`, Steps: settings?.steps,
    Guidance: settings?.guidance, 'Model\'s width': settings?.width, LoRA: adapters.map(a => `${a.name} (${a.scale})`).join(', ') || 'none',
    Model: model.name, Mask: edit.maskBlob ? 'painted' : undefined};
  const rows = Object.entries(lines).filter(([, value]) => value !== undefined).flatMap(([name, value]) => [element('dt', name), element('dd', String(value))]);
  $('recipe').replaceChildren(...rows);
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function thumb(url, text, act, pressed, attribute = 'aria-pressed') {
  const item = document.createElement('li'), button = document.createElement('button'), image = document.createElement('img');
  button.type = 'button';
  image.src = url;
  image.alt = '';
  button.append(image, element('span', text));
  button.addEventListener('click', act);
  button.setAttribute(attribute, String(pressed));
  button.title = text;
  item.append(button);
  return item;
}

function showHistory() {
  show('past', past.length > 0);
  $('history').replaceChildren(...past.map(one => thumb(one.results[0].url, one.prompt, () => { $('prompt').value = one.prompt; showEdit(one, 0); }, one === edit, 'aria-current')));
}

function slide(at) {
  $('slider').value = at;
  $('view').style.setProperty('--at', at + '%');
}

const quoted = text => `'${text.replace(/'/g, `'\\''`)}'`;

// The command that makes the same picture of the same file.
function command() {
  const result = edit.results[chosen], {edit: s, adapters = [], model = {}} = result.recipe;
  const words = ['icedit edit', quoted(source.name), quoted(edit.prompt), '--seed', result.seed, '--steps', s.steps, '--guidance', s.guidance];
  if (edit.maskBlob) words.push('--mask mask.png');
  if (s.output_size === 'source') words.push('--output-size source');
  if (model.name && model.name !== 'nano') words.push('--model', quoted(model.name));
  if (!adapters.length) words.push('--no-lora');
  if (model.name !== 'nano' || adapters.some(a => a.scale !== 1)) for (const a of adapters) words.push('--lora', quoted(`${a.name}:${a.scale}`));
  return [...words, '-o', quoted(nameOf(source, result))].join(' ');
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say('Copied: ' + text);
  } catch {  // without a secure context browsers keep the clipboard to themselves
    say(text);
  }
}

// ---- the controls ----

function pair(range, number) {
  $(range).addEventListener('input', () => { $(number).value = $(range).value; });
  $(number).addEventListener('input', () => { $(range).value = $(number).value; });
}

function setDefaults() {
  const {steps, guidance} = info.defaults;
  for (const [id, value] of [['steps', Math.min(50, steps)], ['guidance', guidance]]) $(id).value = $(id + '-range').value = value;
  $('steps').max = $('steps-range').max = Math.min(50, info.limits.steps);
  $('lora').replaceChildren(...[...info.loras.map(l => l.id), 'none'].map(id => new Option(id, id)));
  const scale = () => {
    const lora = info.loras.find(l => l.id === $('lora').value);
    $('scale').value = $('scale-range').value = lora ? lora.scale : 0;
    $('scale').disabled = $('scale-range').disabled = !lora;
  };
  $('lora').onchange = scale;
  scale();
  $('prompt').maxLength = info.limits.prompt;
}

function showExamples() {
  $('examples').replaceChildren(...info.examples.map(({name, instruction}) =>
    thumb(`/examples/${name}/small`, instruction, async () => {
      $('prompt').value = instruction;
      try { await open(await (await ask('/examples/' + name)).blob(), name); } catch (error) { fail(error.message); }
    }, false, 'data-example')));
}

function listen() {
  for (const id of ['file', 'camera']) $(id).addEventListener('change', event => {
    if (event.target.files[0]) open(event.target.files[0], event.target.files[0].name);
    event.target.value = '';
  });
  const drop = document.body;
  drop.addEventListener('dragover', e => { e.preventDefault(); $('drop').classList.add('over'); });
  drop.addEventListener('dragleave', () => $('drop').classList.remove('over'));
  drop.addEventListener('drop', e => {
    e.preventDefault();
    $('drop').classList.remove('over');
    if (e.dataTransfer.files[0]) open(e.dataTransfer.files[0], e.dataTransfer.files[0].name);
  });
  document.addEventListener('paste', e => {
    const file = [...e.clipboardData.files].find(f => f.type.startsWith('image/'));
    if (file) open(file, file.name);
  });
  $('form').addEventListener('submit', e => { e.preventDefault(); start(); });
  $('prompt').addEventListener('keydown', e => {
    if (e.key === 'Enter' && !e.shiftKey) { e.preventDefault(); start(); }
  });
  $('cancel').addEventListener('click', stop);
  $('random').addEventListener('change', () => { $('seed').disabled = $('random').checked; });
  pair('steps-range', 'steps');
  pair('guidance-range', 'guidance');
  pair('scale-range', 'scale');
  $('slider').addEventListener('input', () => slide($('slider').value));
  $('again').addEventListener('click', async () => {
    const result = edit.results[chosen];
    setSource({blob: result.blob, name: nameOf(source, result), width: result.width, height: result.height, url: result.url});
    $('prompt').value = '';
    $('prompt').focus();
  });
  $('own').addEventListener('click', () => { own = !own; showResult(); });
  $('command').addEventListener('click', () => copy(command()));
  $('mask-open').addEventListener('click', () => {
    if (edit) { edit = null; showSource(); }
    show('painting', true);
    showMask();
    $('mask').focus();
  });
  $('mask-done').addEventListener('click', () => { closeMask(); $('prompt').focus(); });
  $('mask-clear').addEventListener('click', () => { mask.clear(); showMask(); });
  $('brush').addEventListener('change', () => { mask.erase = false; });
  $('eraser').addEventListener('change', () => { mask.erase = true; });
  $('brush-size').addEventListener('input', () => { mask.size = Number($('brush-size').value); });
  $('leave').addEventListener('click', async () => { await ask('/session', {method: 'DELETE'}); location.reload(); });
  $('theme').addEventListener('click', () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    try { localStorage.setItem('theme', document.documentElement.dataset.theme); } catch { /* not kept then */ }
  });
  window.addEventListener('resize', () => { if (source) fit(source.width, source.height); });
}

async function begin() {
  try {
    const theme = localStorage.getItem('theme');
    if (theme) document.documentElement.dataset.theme = theme;
  } catch { /* no storage */ }
  listen();
  try {
    info = await (await askWithKey('/v1/info')).json();
  } catch (error) {
    return fail(error.message);
  }
  $('model').textContent = info.model;
  show('leave', info.needs_key);
  setDefaults();
  showExamples();
}

begin();
