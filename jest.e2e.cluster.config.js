import { common } from "./jest.config.js";

/** Suites with real pods: `npm run e2e:cluster` wants KUBECONFIG and E2E_LOAD_IMAGE; `hack/kind` and `.ci/run` set both. */
export default { ...common, maxWorkers: 1, testMatch: ["<rootDir>/test/e2e/cluster/**/*.test.ts"] };
