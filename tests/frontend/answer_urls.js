/**
 * Prints what a report answers to some of the page's requests.
 *
 *     node answer_urls.js report.html '["runs?soon=1"]'
 *
 * The output is a JSON list of status and body, the latter in base64.
 */

import {readFileSync} from 'node:fs';

import {openArchive} from '../../gradscope_plugin/static/reporting/archive.js';
import {createSource} from '../../gradscope_plugin/static/reporting/source.js';

const [path, urls] = process.argv.slice(2);
const html = readFileSync(path, 'utf8');
const [, text] = /id="archive">([^<]*)</.exec(html);
const source = createSource(
  await openArchive(Uint8Array.from(Buffer.from(text, 'base64'))));
const replies = [];
for (const url of JSON.parse(urls)) {
  try {
    const response = await source(url);
    const body = Buffer.from(await response.arrayBuffer());
    replies.push([response.status, body.toString('base64')]);
  } catch (error) {
    replies.push([400, Buffer.from(error.message).toString('base64')]);
  }
}
console.log(JSON.stringify(replies));
