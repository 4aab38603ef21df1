// Reports which messages this page holds, if its user opted in. docs/integrate.md says why it does what it does.
const url = "http://127.0.0.1:8080/devtelemetry.v1.Telemetry/Push"; // `cors_origins` there names this page's origin
const headers = { "content-type": "application/json" }; // and, if asked for, authorization: "Bearer dt_…"
const id = () => crypto.randomUUID().replaceAll("-", "");
const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const opening = indexedDB.open("telemetry");
opening.onupgradeneeded = () => opening.result.createObjectStore("kept");
const opened = done(opening);
const open = async () => (await opened).transaction("kept", "readwrite").objectStore("kept"); // all of it, or nothing
const samples = IDBKeyRange.upperBound(Infinity); // their keys are their numbers
const leavers = IDBKeyRange.lowerBound([]); // [installation id]: to be forgotten by the server

export const status = async () =>
  ({ isIn: await done((await open()).count("consent")), waiting: await done((await open()).count(samples)) });
export async function optIn() {
  const reporter = { receiver_public_key: id(), installation_id: id(), platform: "web", app_version: "1.0" };
  await done((await open()).put({ reporter, since: Date.now(), recorded: 0 }, "consent"));
}
export async function optOut() {
  const kept = await open(), { reporter } = await done(kept.get("consent"));
  [samples, "consent"].forEach((key) => kept.delete(key));
  await done(kept.put(0, [reporter.installation_id]));
  report();
}
export async function held(sample) { // { message_id, channel_id, sent_at, … }, times in milliseconds
  const kept = await open(), consent = await done(kept.get("consent"));
  if (!consent || sample.sent_at < consent.since) return;
  kept.put({ ...consent, recorded: consent.recorded + 1 }, "consent");
  await done(kept.put(sample, consent.recorded + 1));
}

let heard = 0, failures = 0, timer;
async function send(request) {
  const body = JSON.stringify({ ...request, client_time: Date.now() });
  const answer = await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(30_000) });
  if (!answer.ok && answer.status !== 400) throw answer; // 400: it would be refused again
}
async function push() {
  const kept = await open(), consent = await done(kept.get("consent")), left = await done(kept.getAllKeys(leavers));
  const numbers = await done(kept.getAllKeys(samples, 500)), waiting = await done(kept.getAll(samples, 500));
  for (const [installation_id] of left) {
    await send({ forget: true, reporter: { installation_id } });
    await done((await open()).delete([installation_id]));
  }
  if (!consent || (!waiting.length && Date.now() - heard < 1_800_000)) return; // without samples it is a heartbeat
  await send({ reporter: consent.reporter, samples: waiting, first_sequence: numbers[0] });
  heard = Date.now();
  const after = await open();
  if (numbers.length && (await done(after.get("consent")))?.since === consent.since)
    await done(after.delete(IDBKeyRange.upperBound(numbers.at(-1))));
}
export async function report() { // one tab at a time; again in a minute, after a wait, or when the network is back
  const problem = await navigator.locks.request("telemetry", push).then(() => null, (error) => error);
  failures = problem ? failures + 1 : 0;
  const wait = Math.min(2 ** failures / 2, 600) * (0.5 + Math.random() / 2);
  clearTimeout(timer);
  timer = setTimeout(report, 1000 * (problem ? Number(problem.headers?.get("retry-after")) || wait : 60));
}
addEventListener("online", report);
report();
