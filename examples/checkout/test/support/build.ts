/** Builds the server of the crashes, once, before any test. */
import { bundle } from "./bundle.ts"

export default (): Promise<void> => bundle("test/support", "hanging-server")
