package document

import (
	"crypto/sha256"
	"encoding/hex"
)

// Hash gives the SHA-256, in hexadecimal digits, of what a service of this
// project sends of the document to agents (JSON). The policy of a host names
// documents by it.
func (d *Document) Hash() string {
	sum := sha256.Sum256(d.JSON())
	return hex.EncodeToString(sum[:])
}
