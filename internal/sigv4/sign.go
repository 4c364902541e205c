package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Sign signs a request that is about to be sent: it sets X-Amz-Date,
// X-Amz-Security-Token for temporary keys, and Authorization, and replaces those
// of an earlier try. Signed are host, content-type and every x-amz-* header;
// what proxies may change is left out. body is the request's whole body; Sign
// does not touch r.Body. The host signed is r.Host, or r.URL.Host where that is
// empty: the one that net/http sends.
func Sign(r *http.Request, body []byte, keys Keys, service, region string, now time.Time) {
	r.Header.Del(headerToken)
	if keys.SessionToken != "" {
		r.Header.Set(headerToken, keys.SessionToken)
	}
	c := Credential{AccessKeyID: keys.AccessKeyID, Region: region, Service: service}
	text, signed := prepare(r, &c, body, now)
	key := SigningKey(keys.SecretAccessKey, c.Date, region, service)
	authorize(r, c, signed, hex.EncodeToString(sum(key, text)))
}

// prepare sets the date and returns what is to be signed, and the names of the
// headers in it.
func prepare(r *http.Request, c *Credential, body []byte, now time.Time) (text string, signed []string) {
	now = now.UTC()
	c.Date = now.Format(dateLayout)
	amzDate := now.Format(timeLayout)
	r.Header.Set(headerDate, amzDate)
	signed = []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); lower == "content-type" || strings.HasPrefix(lower, "x-amz-") {
			signed = append(signed, lower)
		}
	}
	slices.Sort(signed)
	b, _ := canonical(r, c.Service, signed, PayloadHash(body), false)
	return stringToSign(amzDate, c.scope(), b), signed
}

func authorize(r *http.Request, c Credential, signed []string, signature string) {
	r.Header.Set("Authorization", Algorithm+" Credential="+c.AccessKeyID+"/"+c.scope()+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+signature)
}
