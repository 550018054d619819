import type { Labels } from './engine.ts';

/** On everything that jackin makes on an engine; what does not carry it is never touched. */
export const MANAGED: Labels = { 'jackin.managed': 'true' };
