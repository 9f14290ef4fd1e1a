/** uPlot, without its types: charts are made by one module for each part of the page. */

declare const uPlot: any;
export default uPlot;
