/** All modules of the page, which are asked for at once: one after the other,
 * as they import each other, they would take six round trips. */
export const MODULES = [
  'asking', 'axis', 'blocks', 'buckets', 'cards', 'carry', 'cells', 'chosen',
  'code', 'colormap', 'colors', 'compare', 'compare_view', 'csv', 'detail',
  'detail_charts', 'detail_data', 'dom', 'entries', 'feed', 'figure',
  'finding_statistics', 'finding_text', 'finding_view', 'findings',
  'findings_panel', 'flow', 'format', 'forward_statistics', 'gestures', 'grid',
  'heatmap_dom', 'heatmap_input', 'heatmap_view', 'heatmaps', 'histogram_chart',
  'host', 'layer_facts', 'legend', 'line_chart', 'link', 'marks', 'model',
  'names', 'notices', 'outlining', 'overlay', 'page', 'page_parts', 'picture',
  'places', 'pointing', 'raster', 'readout', 'rows', 'scale', 'scaling',
  'sight', 'state', 'statistics', 'thumbnail', 'thumbnails', 'unit_chart',
  'unit_order', 'units', 'variable_statistics', 'viewport', 'views', 'wire',
];
