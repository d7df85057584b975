/** Any part of the page as a PNG: its boxes, canvases and texts, drawn. */

const SCALE = 2;
const MARGIN = 12;

/**
 * Returns a canvas with what is seen of a part of the page.
 * @param {HTMLElement} root
 * @return {HTMLCanvasElement}
 */
export function pictureOf(root) {
  const frame = root.getBoundingClientRect();
  const canvas = document.createElement('canvas');
  canvas.width = Math.ceil((frame.width + 2 * MARGIN) * SCALE);
  canvas.height = Math.ceil((frame.height + 2 * MARGIN) * SCALE);
  const context = canvas.getContext('2d');
  context.scale(SCALE, SCALE);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(MARGIN - frame.left, MARGIN - frame.top);
  drawNode(context, root);
  return canvas;
}

// What is there to be used, not to be seen in a picture.
const LEFT_OUT = '.tools, .copy, .wheel-hint, .close';

function drawNode(context, node) {
  if (node.nodeType === Node.TEXT_NODE) {
    drawText(context, node);
    return;
  }
  if (!(node instanceof HTMLElement) || node.matches(LEFT_OUT)) return;
  const style = getComputedStyle(node);
  if (style.display === 'none' || style.visibility === 'hidden') return;
  const box = node.getBoundingClientRect();
  if (!box.width && !box.height) return;
  context.save();
  if (style.overflow !== 'visible') {
    context.beginPath();
    context.rect(box.left, box.top, box.width, box.height);
    context.clip();
  }
  drawBox(context, box, style);
  if (node instanceof HTMLCanvasElement) {
    context.imageSmoothingEnabled = false;
    if (node.width && node.height) {
      context.drawImage(node, box.left, box.top, box.width, box.height);
    }
  } else if (node instanceof HTMLInputElement) {
    drawLine(context, node.value, box, style);
  } else {
    node.childNodes.forEach((child) => drawNode(context, child));
  }
  context.restore();
}

function drawBox(context, {left, top, width, height}, style) {
  const radius = style.borderRadius === '50%' ? width / 2 : 0;
  context.beginPath();
  context.roundRect(left, top, width, height, radius);
  context.fillStyle = style.backgroundColor;
  context.fill();
  const line = parseFloat(style.borderTopWidth);
  if (!line || style.borderTopStyle === 'none') return;
  context.strokeStyle = style.borderTopColor;
  context.lineWidth = line;
  context.setLineDash(style.borderTopStyle === 'dashed' ? [6, 4]
    : style.borderTopStyle === 'dotted' ? [2, 2] : []);
  const sides = style.borderLeftWidth === style.borderTopWidth;
  if (sides) context.stroke();
}

/** Draws a text, line by line as the browser broke it. */
function drawText(context, node) {
  if (!node.data.trim()) return;
  const style = getComputedStyle(node.parentElement);
  const range = document.createRange();
  let line = '';
  let before = null;
  for (let at = 0; at < node.data.length; at++) {
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    const [box] = range.getClientRects();
    if (!box) continue;
    if (before && box.top > before.top + 2) {
      drawLine(context, line, before, style);
      line = '';
      before = null;
    }
    before ??= box;
    line += node.data[at];
  }
  if (before) drawLine(context, line, before, style);
}

function drawLine(context, text, box, style) {
  context.fillStyle = style.color;
  context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.textBaseline = 'middle';
  context.fillText(text, box.left, box.top + box.height / 2);
}

/** Saves a picture of a part of the page. */
export async function savePicture(root, name) {
  const canvas = pictureOf(root);
  const blob = await new Promise((done) => canvas.toBlob(done));
  save(blob, name);
}

/** Saves text. */
export function saveText(text, name) {
  save(new Blob([text], {type: 'text/csv;charset=utf-8'}), name);
}

function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // At once it may be too early for a slow disk.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
