package sqlite

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"ssmrun"
	"ssmrun/internal/store"
)

// The lists that have pages. A token is good for the list it was made for.
const (
	commandList    = "commands"
	invocationList = "invocations"
	instanceList   = "instances"
	activationList = "activations"
	ec2List        = "ec2"
	parameterList  = "parameters"
	roleList       = "roles"
)

// position is the last row of a page: the next one begins after it, whatever
// was added or removed meanwhile.
type position struct {
	List     string `json:"l"`
	Newest   int64  `json:"t,omitempty"`
	N        int64  `json:"c,omitempty"` // number of the command
	ID       string `json:"i,omitempty"`
	Instance string `json:"n,omitempty"`
}

// compare orders the places of lists of commands and invocations.
func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.Newest, q.Newest), cmp.Compare(p.N, q.N), cmp.Compare(q.Instance, p.Instance))
}

// maxToken bounds what is decoded: the names of parameters have up to 1011
// characters.
const maxToken = 2048

var tokenEncoding = base64.RawURLEncoding.Strict()

// token is the position as callers carry it: JSON and a checksum, in base64.
// It grants nothing, since every query is bound to a scope; the checksum only
// tells a mistyped token from a good one.
func (p position) token() string {
	b, err := json.Marshal(p)
	if err != nil {
		return "" // strings and a number always can be
	}
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return tokenEncoding.EncodeToString(b)
}

// parseToken reads what token made for a list.
func parseToken(token, list string) (*position, error) {
	bad := &ssmrun.Error{Code: ssmrun.CodeInvalidNextToken}
	if len(token) > maxToken {
		return nil, bad
	}
	b, err := tokenEncoding.DecodeString(token)
	if err != nil || len(b) < crc32.Size {
		return nil, bad
	}
	body, sum := b[:len(b)-crc32.Size], binary.BigEndian.Uint32(b[len(b)-crc32.Size:])
	var p position
	if crc32.ChecksumIEEE(body) != sum || json.Unmarshal(body, &p) != nil || p.List != list || p.token() != token {
		return nil, bad
	}
	return &p, nil
}

// from checks a page: nil is its beginning.
func from(p store.Page, list string) (*position, error) {
	if p.Limit < 1 {
		return nil, fmt.Errorf("a page of %d rows is none", p.Limit)
	}
	if p.Token == "" {
		return nil, nil
	}
	return parseToken(p.Token, list)
}
