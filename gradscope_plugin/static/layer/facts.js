/** What a layer is: its variables and its configuration, as a table. */

import {element} from '../basics/dom.js';

/** Returns the elements that tell what is known of a layer. */
export function factsOf({class: kind, config, has_model: hasModel, variables}) {
  const shapes = variables.map(({name, shape, dtype}) =>
    [name, `[${shape.join(', ')}] ${dtype}`]);
  const settings = Object.entries(config).map(([name, value]) =>
    [name, textOf(value)]);
  const why = kind ? '' : hasModel
    ? 'The model has no layer of this name, so its configuration is unknown.'
    : 'The Keras model is unknown. Pass it with gradscope.wrap(optimizer, '
      + 'logdir, model=model), or use gradscope.Callback.';
  return [
    ...kind ? [element('p', {}, element('b', {}, kind))] : [],
    ...why ? [element('p', {className: 'quiet'}, why)] : [],
    ...shapes.length + settings.length ? [table([...shapes, ...settings])] : [],
  ];
}

function table(rows) {
  return element('table', {}, element('tbody', {}, ...rows.map(
    ([name, value]) => element('tr', {},
      element('th', {scope: 'row'}, name), element('td', {}, value)))));
}

/** Returns a value of a configuration: `HeNormal`, `0.3`, `[2, 2]`. */
export function textOf(value) {
  if (value && typeof value === 'object' && !Array.isArray(value)) {
    const {class_name: name, config} = value;
    if (typeof name !== 'string') return JSON.stringify(value);
    const inner = Object.entries(config ?? {})
      .filter(([, item]) => item !== null)
      .map(([key, item]) => `${key}=${textOf(item)}`);
    return inner.length ? `${name}(${inner.join(', ')})` : name;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
