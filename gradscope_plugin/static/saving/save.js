/** What can be carried away: pictures, numbers, and a link to the view. */

import {csvOf, fileName, gridLines} from './csv.js';
import {hashOf} from '../basics/view_link.js';
import {savePicture, saveText} from './picture.js';

/** Saves a picture of a part of the page, named by its parts. */
export function savePage(node, parts) {
  return savePicture(node, fileName(parts, 'png'));
}

/** Saves all numbers of a grid. */
export function saveGrid(grid, parts) {
  if (grid) saveLines(gridLines(grid), parts);
}

/** Saves a table. */
export function saveLines(lines, parts) {
  saveText(csvOf(lines), fileName(parts, 'csv'));
}

/** Returns a link that shows what is shown now. */
export function sharedLink(view, defaults) {
  let place = window.location;
  try {
    // TensorBoard's page, where it is of our origin: we are in its frame.
    if (window.parent.location.href) place = window.parent.location;
  } catch {
    // Another's page; our own frame understands the link, too.
  }
  return `${place.origin}${place.pathname}${place.search}`
    + hashOf(view, defaults);
}
