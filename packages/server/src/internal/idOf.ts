/** Addresses as keys of maps. */
import * as Address from "@troupe/contract/Address"

/** Text that differs for different addresses. */
export const idOf = ({ contract, key }: Address.Address): string => Address.idOf(contract, key)
