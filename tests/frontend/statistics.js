/** Declares the statistics as the server does, for tests. */

import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';

import {declareAll} from '../../gradscope_plugin/static/statistics/statistics.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PYTHON = process.env.PYTHON ?? '.venv/bin/python';
const PROGRAM = 'from gradscope_plugin.replies import statistics; '
  + 'print(statistics.to_json())';

/** What `statistics.json` has. */
export const STATISTICS = JSON.parse(
  execFileSync(PYTHON, ['-c', PROGRAM], {cwd: ROOT, encoding: 'utf8'}));

declareAll(STATISTICS);
