/** Asks for the findings of runs: one after the other, and not too often. */

// A diagnosis of a large run takes seconds, and a live one always grows.
const LEAST = 10_000;

const FAILED = '';

/**
 * @param {(url: string) => Promise<Response>} get
 * @param {() => void} onChange there are other findings
 * @param {{now?: () => number, later?: Function}=} clock for tests
 */
export function createPolling(get, onChange,
    {now = Date.now, later = setTimeout} =
    /** @type {{now?: () => number, later?: Function}} */ ({})) {
  // By name: what was asked for, when the answer came, and the answer.
  const diagnoses = new Map();
  let followed = [];
  let busy = false;
  let timer = null;

  const versionOf = (run) => `${run.steps} ${run.last_wall_time}`;
  const isStale = (run) => diagnoses.get(run.name)?.version !== versionOf(run);
  const waitOf = (run) =>
    (diagnoses.get(run.name)?.time ?? -Infinity) + LEAST - now();

  async function fetchOne(run) {
    let version = versionOf(run);
    let reply;
    try {
      const query = new URLSearchParams({run: run.name, soon: '1'});
      reply = await (await get(`findings?${query}`)).json();
    } catch (error) {
      // What was found before still holds; the next reload asks again.
      version = FAILED;
      reply = diagnoses.get(run.name)?.reply ?? {findings: [], steps: 0,
        sampled: false, problem: error.message};
    }
    diagnoses.set(run.name, {version, time: now(), reply});
    onChange();
  }

  async function work() {
    if (busy) return;
    busy = true;
    const due = () => followed.find((run) => isStale(run) && waitOf(run) <= 0);
    for (let run = due(); run; run = due()) await fetchOne(run);
    busy = false;
    const waits = followed.filter((run) => isStale(run)
      && diagnoses.get(run.name)?.version !== FAILED).map(waitOf);
    if (!waits.length || timer !== null) return;
    timer = later(() => {
      timer = null;
      work();
    }, Math.min(...waits));
  }

  return {
    /** Returns the reply about a run, null before the first. */
    of: (run) => diagnoses.get(run.name)?.reply ?? null,

    /** Asks for what has changed in these runs, now or when it is time. */
    follow(runs) {
      followed = runs;
      return work();
    },
  };
}
