/**
 * `@troupe/node`: thin adapters from Troupe's services to Node.
 */
export {}
