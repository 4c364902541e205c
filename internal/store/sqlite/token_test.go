package sqlite

import (
	"testing"

	"ssmrun"
)

// FuzzToken: a token is the position it was made of, or refused with the code
// that callers expect.
func FuzzToken(f *testing.F) {
	f.Add(position{List: commandList, Newest: -1, ID: "x"}.token())
	f.Add(position{List: instanceList, ID: "i-0123456789abcdef0"}.token())
	f.Add(position{List: invocationList, Newest: 1 << 62, ID: "x", Instance: "é\x00"}.token())
	f.Add("")
	f.Add("AAAAAAAA")
	f.Fuzz(func(t *testing.T, token string) {
		for _, list := range []string{commandList, invocationList, instanceList} {
			p, err := parseToken(token, list)
			switch {
			case err != nil && ssmrun.ErrorCode(err) != ssmrun.CodeInvalidNextToken:
				t.Errorf("error %v", err)
			case err == nil && (p.List != list || p.token() != token):
				t.Errorf("token %q is %+v", token, p)
			}
		}
	})
}
