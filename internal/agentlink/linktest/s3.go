package linktest

import (
	"bytes"
	"crypto/rand"
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

// S3Call is what a request asks of S3.
type S3Call struct {
	// Op is the operation: PutObject, CreateMultipartUpload, UploadPart,
	// CompleteMultipartUpload or AbortMultipartUpload.
	Op   string
	Path string // bucket/key
	Part int    // of UploadPart, from 1
}

// upload is an upload in parts that is open. Its object takes the parts in order.
type upload struct {
	object *object
	parts  int            // that the object took
	early  map[int][]byte // parts whose predecessors are missing
}

func (u *upload) count() int { return u.parts + len(u.early) }

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

// OpenUploads tells how many parts were taken of each upload that is neither
// complete nor aborted.
func (s *Server) OpenUploads() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []int
	for _, u := range s.uploads {
		list = append(list, u.count())
	}
	return list
}

// WaitPart waits until an upload that is open has so many parts.
func (s *Server) WaitPart(parts int) {
	s.t.Helper()
	s.waitFor(fmt.Sprintf("upload with %d parts", parts), func() bool {
		for _, u := range s.uploads {
			if u.count() >= parts {
				return true
			}
		}
		return false
	})
}

// S3Refuse answers like S3, for a hook.
func S3Refuse(w http.ResponseWriter, status int, code string) {
	s3Error(w, status, code, "refused by the test")
}

func readS3Call(r *http.Request) S3Call {
	q := r.URL.Query()
	c := S3Call{Path: strings.TrimPrefix(r.URL.Path, "/")}
	c.Part, _ = strconv.Atoi(q.Get("partNumber"))
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		c.Op = "CreateMultipartUpload"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		c.Op = "UploadPart"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		c.Op = "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		c.Op = "AbortMultipartUpload"
	case r.Method == http.MethodPut && len(q) <= 1:
		c.Op = "PutObject"
	}
	return c
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
	c := readS3Call(r)
	if set.S3Hook != nil && set.S3Hook(w, r, c) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.S3Fail != 0 {
		s.S3Fail--
		s3Error(w, http.StatusInternalServerError, "InternalError", "try again")
		return
	}
	if strings.HasPrefix(c.Path, "missing/") {
		s3Error(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	id := r.URL.Query().Get("uploadId")
	up := s.uploads[id]
	if up == nil && id != "" {
		s3Error(w, http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist")
		return
	}
	switch c.Op {
	case "CreateMultipartUpload":
		id := strconv.Itoa(len(s.uploads)+1) + "-" + rand.Text()
		s.uploads[id] = &upload{object: newObject(), early: map[int][]byte{}}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case "UploadPart":
		if c.Part > up.parts {
			up.early[c.Part] = body
		}
		for next := up.early[up.parts+1]; next != nil; next = up.early[up.parts+1] {
			up.parts++
			delete(up.early, up.parts)
			up.object.add(next, set.S3Hash)
		}
		s.cond.Broadcast()
		w.Header().Set("ETag", `"part`+strconv.Itoa(c.Part)+`"`)
	case "CompleteMultipartUpload":
		var done struct {
			Parts []struct {
				PartNumber int
				ETag       string
			} `xml:"Part"`
		}
		if err := xml.NewDecoder(bytes.NewReader(body)).Decode(&done); err != nil || len(done.Parts) == 0 || len(done.Parts) != up.parts {
			s3Error(w, http.StatusBadRequest, "MalformedXML", "")
			return
		}
		for i, p := range done.Parts {
			if p.PartNumber != i+1 || p.ETag != fmt.Sprintf(`"part%d"`, i+1) {
				s3Error(w, http.StatusBadRequest, "InvalidPart", "")
				return
			}
		}
		s.s3[c.Path] = up.object
		delete(s.uploads, id)
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><ETag>"whole"</ETag></CompleteMultipartUploadResult>`)
	case "AbortMultipartUpload":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "PutObject":
		o := newObject()
		o.add(body, set.S3Hash)
		s.s3[c.Path] = o
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
