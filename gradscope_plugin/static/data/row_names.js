/** Names of the rows of a run's matrices, in the server's order; pure. */

const shape = (variable) => `[${variable.shape.join(', ')}]`;

const KINDS = {
  dropout: 'dropout',
  batch_norm: 'batch normalization',
  state: 'layer with a state',
};

const ROWS_OF = {
  layers: ofLayers,
  variables: (run) => run.variables.map(ofVariable),
  kernels: (run) => run.variables.filter((v) => v.shape.length >= 2)
    .map(ofVariable),
  activations: (run) => run.activations.map(({name, kind, units}) => ({
    name, shapes: `${kind}, ${units} units`, size: units, kind,
  })),
  state: (run) => run.states.map(({name, kind}) => ({
    name, shapes: name.startsWith(kind) ? '' : KINDS[kind] ?? kind,
  })),
  data: (run) => run.data.map((name) => ({name, shapes: ''})),
  units: (run) => run.activations.flatMap(ofUnits),
};

/**
 * Returns the rows of a run's matrix.
 * @return {{name: string, shapes: string, size?: number, kind?: string}[]} in
 *     forward order; `size` is in weights or units. A row of units also has the
 *     `group` that it is of, and its first unit as `label`
 */
export function rowsOf(run, rows) {
  return ROWS_OF[rows](run);
}

function ofVariable(variable) {
  return {name: variable.name, shapes: shape(variable), size: sizeOf(variable),
    kind: kindOf(variable)};
}

function ofLayers(run) {
  const variables = new Map(run.layers.map((name) => [name, []]));
  run.variables.forEach(
    (variable) => variables.get(variable.layer)?.push(variable));
  return run.layers.map((name) => {
    const ofLayer = variables.get(name);
    const size = ofLayer.reduce((sum, variable) => sum + sizeOf(variable), 0);
    const [largest] = [...ofLayer].sort((a, b) => sizeOf(b) - sizeOf(a));
    return {name, size, kind: largest ? layerKind(kindOf(largest)) : '',
      shapes: ofLayer.map((v) => `${lastPart(v)} ${shape(v)}`).join(', ')};
  });
}

const lastPart = ({name}) => name.split('/').pop();

const sizeOf = (variable) =>
  variable.shape.reduce((product, length) => product * length, 1);

/** Returns the kind of a variable: `kernel`, `bias`, `gamma`. */
function kindOf(variable) {
  return lastPart(variable).replace(/_\d+$/, '');
}

/** Returns the kind of a layer, of that of its largest variable: gradients of
 * normalization are of another size than those of kernels. */
function layerKind(kind) {
  if (/gamma|beta|scale/.test(kind)) return 'normalization';
  return kind.includes('kernel') ? 'kernel' : kind;
}

function ofUnits({name, kind, units, units_per_row: width}) {
  const count = width ? Math.ceil(units / width) : 0;
  return Array.from({length: count}, (_, row) => {
    const first = row * width;
    const last = Math.min(first + width, units) - 1;
    const label = String(first);
    return {group: name, kind, label, size: last - first + 1, shapes: '',
      name: `${name}/${last > first ? `${first}-${last}` : label}`};
  });
}

/**
 * Returns the layer of a row, nothing if it has none, as data have.
 * @param {Object} run
 * @param {{name: string, group?: string}} row
 */
export function layerOf(run, {name, group}) {
  if (group) return group.slice(0, group.lastIndexOf('/')) || group;
  const variable = run.variables.find((row) => row.name === name);
  if (variable) return variable.layer;
  if (run.layers.includes(name)) return name;
  const state = run.states.find((row) => row.name === name);
  if (state) return state.layer;
  const activation = run.activations.find((row) => row.name === name);
  return activation ? name.slice(0, name.lastIndexOf('/')) || name : null;
}
