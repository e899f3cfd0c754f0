/**
 * Plants a fault into the program that loads this module first: a key is used at once. The product has no switch for it.
 */

import { registerHooks } from "node:module";

const REAL = "/src/authority/activation.ts";
const PLANTED = new URL("activation.ts", import.meta.url).href;

registerHooks({
  resolve: (specifier, context, next) => {
    const resolved = next(specifier, context);
    // The planted module itself builds on the real one.
    return resolved.url.endsWith(REAL) && context.parentURL !== PLANTED
      ? { ...resolved, url: PLANTED }
      : resolved;
  },
});
