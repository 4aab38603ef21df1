// Reports which messages this page holds, if its user opted in. docs/integrate.md explains the rules.
// The server's `cors_origins` must name this page's origin. If it wants a token, add the header
// authorization: "Bearer dt_…".
const url = "http://127.0.0.1:8080/devtelemetry.v1.Telemetry/Push";
const headers = { "content-type": "application/json" };
const id = () => crypto.randomUUID().replaceAll("-", "");
const done = (ask) => new Promise((yes, no) => { ask.onsuccess = () => yes(ask.result); ask.onerror = no; });
// One request for each opt-in, which grows until it is sent. A transaction is done as a whole or not at all.
const file = indexedDB.open("reports"), opened = done(file);
file.onupgradeneeded = () => file.result.createObjectStore("kept", { keyPath: "reporter.installation_id" });
const open = async () => (await opened).transaction("kept", "readwrite").objectStore("kept");
const current = async (kept) => (await done(kept.getAll())).find((one) => !one.forget);
async function change(how) {
  const kept = await open(), one = await current(kept);
  if (one) await done(kept.put({ ...one, ...how(one) }));
}

export const waiting = async () => (await current(await open()))?.samples.length; // undefined: not opted in
export const optIn = async () => done((await open()).put({ since: Date.now(), samples: [], first_sequence: 1,
  reporter: { receiver_public_key: id(), installation_id: id(), platform: "web", app_version: "1.0" } }));
export const optOut = () => change(() => ({ samples: [], forget: true }));
// A message: { message_id, channel_id, sent_at, … }, times in milliseconds.
export const held = (one) => change((is) => one.sent_at >= is.since && { samples: [...is.samples, one] });

async function push() {
  for (const { since, samples, ...request } of await done((await open()).getAll())) {
    const sent = samples.slice(0, 500); // none: a heartbeat
    const body = JSON.stringify({ ...request, samples: sent, client_time: Date.now() });
    const answer = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(30_000) });
    if (!answer.ok && answer.status !== 400) throw answer; // 400: sent again, it would be refused again
    const kept = await open(), one = await done(kept.get(request.reporter.installation_id));
    one.first_sequence += one.samples.splice(0, sent.length).length;
    await done(request.forget ? kept.delete(request.reporter.installation_id) : kept.put(one));
  }
}
// One tab at a time. A failed push is tried again with the next report, or when the network is back.
export const report = () => navigator.locks.request("reports", push).catch(console.debug);
addEventListener("online", report), setInterval(report, 300_000), report();
