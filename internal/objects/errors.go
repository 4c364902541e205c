package objects

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// refusal is an error that Handler answers by itself, in S3's shape.
type refusal struct {
	status  int
	code    string
	message string
	bucket  string // element Bucket, where S3 gives one
	region  string // element Region, where S3 gives one
}

var (
	errAnonymous = &refusal{
		status: http.StatusForbidden, code: "AccessDenied",
		message: "Access Denied: the request carries no signature. Sign it with an access key of this service.",
	}
	errUploadOnly = &refusal{
		status: http.StatusForbidden, code: "AccessDenied",
		message: "Access Denied: temporary credentials may look for a bucket and upload objects, nothing else.",
	}
	errStopped = &refusal{
		status: http.StatusServiceUnavailable, code: "ServiceUnavailable",
		message: "The S3 endpoint is stopping or not reachable. Reduce your request rate and try again.",
	}
	errInvalidURI = &refusal{
		status: http.StatusBadRequest, code: "InvalidURI",
		message: "Couldn't parse the specified URI: host or path are ambiguous.",
	}
	errKeyParts = &refusal{
		status: http.StatusBadRequest, code: "InvalidArgument",
		message: "Keys are paths of files on this endpoint: \".\", \"..\" and names that begin with \".sgwtmp\" cannot be parts of a key, nor can zero bytes.",
	}
	errKeyTooLong = &refusal{
		status: http.StatusBadRequest, code: "KeyTooLongError",
		message: "Your key is too long: a key has at most 1024 bytes.",
	}
	errIncompleteBody = &refusal{
		status: http.StatusBadRequest, code: "IncompleteBody",
		message: "The request body terminated unexpectedly.",
	}
	// errNoEncryption is how S3 says that a bucket has no encryption of its own,
	// which agents ask before every upload.
	errNoEncryption = &refusal{
		status: http.StatusNotFound, code: "ServerSideEncryptionConfigurationNotFoundError",
		message: "The server side encryption configuration was not found",
	}
	errFormUpload = &refusal{
		status: http.StatusNotImplemented, code: "NotImplemented",
		message: "Uploads by HTML forms are not implemented. Use PutObject.",
	}
)

func errWrongRegion(got, want string) *refusal {
	return &refusal{
		status: http.StatusBadRequest, code: "AuthorizationHeaderMalformed", region: want,
		message: "The authorization header is malformed; the region '" + got + "' is wrong; expecting '" + want + "'",
	}
}

func errOtherRegion(bucket, region string) *refusal {
	return &refusal{
		status: http.StatusMovedPermanently, code: "PermanentRedirect", bucket: bucket, region: region,
		message: "The bucket you are attempting to access is in another region. Sign the request for the region " + region + ".",
	}
}

func errBucketName(name string, err error) *refusal {
	return &refusal{
		status: http.StatusBadRequest, code: "InvalidBucketName", bucket: name,
		message: "The specified bucket is not valid: " + err.Error() + ".",
	}
}

// write answers the request with the refusal. S3 gives no body to a HEAD.
func (e *refusal) write(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	body := e.body(id)
	h := w.Header()
	h.Set("x-amz-request-id", id)
	if e.status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	h.Set("Content-Type", "application/xml")
	if r.Method != http.MethodHead {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// replace puts the refusal into the place of the gateway's answer.
func (e *refusal) replace(resp *http.Response) {
	body := e.body(resp.Header.Get("X-Amz-Request-Id"))
	_ = resp.Body.Close()
	resp.StatusCode, resp.Status = e.status, ""
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Type", "application/xml")
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

func (e *refusal) body(id string) []byte {
	b, _ := xml.Marshal(struct { // strings only: cannot fail
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		Bucket    string `xml:",omitempty"`
		Region    string `xml:",omitempty"`
		RequestID string `xml:"RequestId"`
	}{Code: e.code, Message: e.message, Bucket: e.bucket, Region: e.region, RequestID: id})
	return append([]byte(xml.Header), b...)
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToUpper(hex.EncodeToString(b[:]))
}

// WriteError answers a request with an error in S3's shape, for what is refused
// before it reaches a Server.
func WriteError(w http.ResponseWriter, r *http.Request, status int, code, message string) {
	(&refusal{status: status, code: code, message: message}).write(w, r)
}
