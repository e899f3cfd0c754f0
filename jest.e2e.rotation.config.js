import { common } from "./jest.config.js";

/** Traffic over rotations: `npm run e2e:rotation` wants Go, and Python with venv for Envoy. */
export default { ...common, maxWorkers: 1, testMatch: ["<rootDir>/test/e2e/rotation/**/*.test.ts"] };
