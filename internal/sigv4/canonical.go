package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// serviceS3 escapes paths once, takes unsigned payloads, and wants an end of
// life of presigned requests.
const serviceS3 = "s3"

// canonical writes the canonical request. The headers signed must all be there:
// ok is false where one is not.
func canonical(r *http.Request, service string, signed []string, payload string, presigned bool) (b []byte, ok bool) {
	b = make([]byte, 0, 1024)
	b = append(b, r.Method...)
	b = append(b, '\n')
	path := r.URL.EscapedPath()
	switch {
	case path == "":
		b = append(b, '/')
	case service == serviceS3:
		b = append(b, path...)
	default:
		b = appendEscaped(b, path, true)
	}
	b = append(b, '\n')
	b = appendQuery(b, r.URL.RawQuery, presigned)
	b = append(b, '\n')
	for _, name := range signed {
		values, ok := headerValues(r, name)
		if !ok {
			return nil, false
		}
		b = append(b, name...)
		b = append(b, ':')
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTrimmed(b, v)
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	for i, name := range signed {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, name...)
	}
	b = append(b, '\n')
	return append(b, payload...), true
}

// stringToSign is what is signed, for a canonical request.
func stringToSign(amzDate, scope string, canonical []byte) string {
	h := sha256.Sum256(canonical)
	return Algorithm + "\n" + amzDate + "\n" + scope + "\n" + hex.EncodeToString(h[:])
}

// headerValues are the values of a header by its lower-case name. net/http keeps
// Host, and on some ways Content-Length, outside the headers.
func headerValues(r *http.Request, name string) ([]string, bool) {
	if name == "host" {
		host := r.Host
		if host == "" {
			host = r.URL.Host
		}
		return []string{host}, host != ""
	}
	values, ok := r.Header[textproto.CanonicalMIMEHeaderKey(name)]
	if !ok && name == "content-length" && r.ContentLength >= 0 {
		return []string{strconv.FormatInt(r.ContentLength, 10)}, true
	}
	return values, ok && len(values) > 0
}

// appendTrimmed takes the spaces around a header's value off and makes one of
// several within.
func appendTrimmed(b []byte, v string) []byte {
	v = strings.TrimSpace(v)
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

// appendQuery sorts the parameters after escaping; the signature itself is not
// among them. A plus sign is a space, as for every reader of a query.
func appendQuery(b []byte, raw string, presigned bool) []byte {
	if raw == "" {
		return b
	}
	type param struct{ name, value string }
	params := make([]param, 0, 8)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = reescape(name)
		if presigned && name == querySignature {
			continue
		}
		params = append(params, param{name, reescape(value)})
	}
	slices.SortFunc(params, func(x, y param) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// reescape brings a part of a query into the one form that is signed. What
// cannot be unescaped stays: Parse refuses such queries.
func reescape(s string) string {
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return string(appendEscaped(nil, plain, false))
}

// appendEscaped escapes all but RFC 3986's unreserved characters, and slashes
// where slash is set.
func appendEscaped(b []byte, s string, slash bool) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/' && slash:
			b = append(b, c)
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}
