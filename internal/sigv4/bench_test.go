package sigv4

import (
	"net/http"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	r, _ := sendCommand(b, temporary, noon)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is all that the service does with a signature: hash of the
// body, parse, verify.
func BenchmarkVerify(b *testing.B) {
	for name, fresh := range map[string]bool{"cached key": false, "new key": true} {
		b.Run(name, func(b *testing.B) {
			r, body := sendCommand(b, temporary, noon)
			v := at(noon)
			b.ReportAllocs()
			for b.Loop() {
				if fresh {
					v = at(noon)
				}
				if err := verify(v, r, []byte(body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyRSA(b *testing.B) {
	r := roleToken(b)
	b.ReportAllocs()
	for b.Loop() {
		if err := verifyRSA(noon, r, tokenBody, &rsaKeys()[0].PublicKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:8440/", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM.UpdateInstanceInformation")
	b.ReportAllocs()
	for b.Loop() {
		Sign(r, []byte("{}"), temporary, "ssm", "us-east-1", noon)
	}
}
