package linktest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// object is what was uploaded.
type object struct {
	data []byte
	size int64
	sum  hash.Hash
}

// Object gives the bytes of an uploaded object by bucket/key; false where there
// is none.
func (s *Server) Object(path string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.s3[path]
	if !ok {
		return nil, false
	}
	return o.data, true
}

// ObjectDigest gives size and hex SHA-256 of an uploaded object.
func (s *Server) ObjectDigest(path string) (int64, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.s3[path]
	if !ok {
		return -1, ""
	}
	return o.size, hex.EncodeToString(o.sum.Sum(nil))
}

// Objects lists the uploaded objects as bucket/key.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for k := range s.s3 {
		list = append(list, k)
	}
	return list
}

func s3Error(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message)
}

// serveS3 knows what uploads need: PUT of objects and multipart uploads, path
// style. The parts of one are taken in order.
func (s *Server) serveS3(w http.ResponseWriter, r *http.Request, set Settings) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	sum := sha256.Sum256(body)
	if set.S3Redirect != "" && !strings.Contains(r.Header.Get("Authorization"), "/"+set.S3Redirect+"/s3/") {
		w.Header().Set("X-Amz-Bucket-Region", set.S3Redirect)
		s3Error(w, http.StatusMovedPermanently, "PermanentRedirect", "the bucket is elsewhere")
		return
	}
	if set.S3Redirect == "" {
		if code, err := s.verify(r, hex.EncodeToString(sum[:]), "s3", set); err != nil {
			s.t.Errorf("S3 call %s %s: %v", r.Method, r.URL, err)
			s3Error(w, http.StatusForbidden, code, err.Error())
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.S3Fail != 0 {
		s.S3Fail--
		s3Error(w, http.StatusInternalServerError, "InternalError", "try again")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, _, _ := strings.Cut(path, "/")
	if bucket == "missing" {
		s3Error(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		id := strconv.Itoa(len(s.uploads) + 1)
		s.uploads[id] = map[int][]byte{}
		s.s3["?"+id] = newObject()
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case r.Method == http.MethodPut && q.Has("uploadId"):
		o := s.s3["?"+q.Get("uploadId")]
		if o == nil {
			s3Error(w, http.StatusNotFound, "NoSuchUpload", "")
			return
		}
		o.add(body, set.S3Hash)
		w.Header().Set("ETag", `"part`+q.Get("partNumber")+`"`)
	case r.Method == http.MethodPost && q.Has("uploadId"):
		var done struct {
			Parts []struct {
				PartNumber int
				ETag       string
			} `xml:"Part"`
		}
		if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&done); err != nil || len(done.Parts) == 0 {
			s3Error(w, http.StatusBadRequest, "MalformedXML", "")
			return
		}
		for i, p := range done.Parts {
			if p.PartNumber != i+1 || p.ETag != fmt.Sprintf(`"part%d"`, i+1) {
				s3Error(w, http.StatusBadRequest, "InvalidPart", "")
				return
			}
		}
		s.s3[path] = s.s3["?"+q.Get("uploadId")]
		delete(s.s3, "?"+q.Get("uploadId"))
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>`)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		delete(s.s3, "?"+q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut && len(q) <= 1:
		o := newObject()
		o.add(body, set.S3Hash)
		s.s3[path] = o
		w.Header().Set("ETag", `"one"`)
	default:
		s3Error(w, http.StatusNotImplemented, "NotImplemented", r.Method+" "+r.URL.String())
	}
}

func newObject() *object { return &object{sum: sha256.New()} }

func (o *object) add(b []byte, hashOnly bool) {
	o.size += int64(len(b))
	o.sum.Write(b)
	if !hashOnly {
		o.data = append(o.data, b...)
	}
}
