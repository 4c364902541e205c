package awsapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"

	"ssmrun"
	"ssmrun/internal/store"
)

// pageSeal is how many bytes of the seal a token carries.
const pageSeal = 16

var tokenEncoding = base64.RawURLEncoding.Strict()

// page reads what a call says of the part of a list that it wants. A token is
// good for the same question only: the same operation, account, region and
// input, but for MaxResults. Any other, and one that this service did not
// make, is ssmrun.CodeInvalidNextToken.
func (a *API) page(c *Call, limit int, token string) (store.Page, error) {
	return a.pageOf(c, questionOf(c), limit, token)
}

// pageOf is page for a call whose input is not JSON: question is its text.
func (a *API) pageOf(c *Call, question string, limit int, token string) (store.Page, error) {
	p := store.Page{Limit: limit}
	if token == "" {
		return p, nil
	}
	bad := &ssmrun.Error{Code: ssmrun.CodeInvalidNextToken}
	seal, place, ok := strings.Cut(token, ".")
	if !ok {
		return p, bad
	}
	got, err := tokenEncoding.DecodeString(seal)
	if err != nil || !hmac.Equal(got, a.seal(c, question, place)) {
		return p, bad
	}
	p.Token = place
	return p, nil
}

// next makes the token for the page after this one from the place at which the
// store says that it begins; "" stays.
func (a *API) next(c *Call, place string) string {
	return a.nextOf(c, questionOf(c), place)
}

// nextOf is next for a call whose input is not JSON.
func (a *API) nextOf(c *Call, question, place string) string {
	if place == "" {
		return ""
	}
	return tokenEncoding.EncodeToString(a.seal(c, question, place)) + "." + place
}

// questionOf is the input of a JSON call without what says which page.
func questionOf(c *Call) string {
	var in map[string]json.RawMessage
	_ = json.Unmarshal(c.Body, &in) // it was checked
	delete(in, "NextToken")
	delete(in, "MaxResults")
	question, _ := json.Marshal(in) // raw messages that were read encode
	return string(question)
}

// seal binds a place in a list to the question that the list answers.
func (a *API) seal(c *Call, question, place string) []byte {
	text := strings.Join([]string{c.Operation, c.Scope.Account, c.Scope.Region, question, place}, "\x00")
	if a.cfg.Seal != nil {
		return a.cfg.Seal("page", text)[:pageSeal]
	}
	sum := sha256.Sum256([]byte(text))
	return sum[:pageSeal]
}
