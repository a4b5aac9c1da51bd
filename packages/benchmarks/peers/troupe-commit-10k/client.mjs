export { connect } from "../_shared/troupe.mjs"
