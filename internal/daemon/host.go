package daemon

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"ssmrun"
	"ssmrun/internal/objects"
	"ssmrun/internal/sigv4"
)

// hostNames reads host names below the service's domain:
//
//	SERVICE.DOMAIN     SERVICE.REGION.DOMAIN     BUCKET.s3.DOMAIN     BUCKET.s3.REGION.DOMAIN
//
// All other names, addresses and the domain itself say nothing about a request.
type hostNames struct {
	domain string // lower case; "" for none
}

// host is what a host name says.
type host struct {
	name    string // as it was called, lower case, without the port
	service string // "" where it names none of those that are served
	region  string // "" where it names none; it need not be one that is served
	bucket  string
}

// services are those that have names of their own.
var services = map[string]bool{
	"ssm": true, "ec2messages": true, "ssmmessages": true, "s3": true, "sts": true, "ec2": true, "iam": true,
}

// regionPart is a region as one part of a host name. Buckets may look like
// one, but stand before s3.
var regionPart = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)

// read reads the Host of a request.
func (n hostNames) read(hostport string) host {
	if n.domain == "" || hostport == "" {
		return host{}
	}
	h := host{name: strings.ToLower(hostport)}
	if i := strings.LastIndexByte(h.name, ':'); i >= 0 {
		h.name = h.name[:i]
	}
	h.name = strings.TrimSuffix(h.name, ".")
	rest, ok := strings.CutSuffix(h.name, "."+n.domain)
	if !ok {
		return host{}
	}
	before, last := cutLast(rest)
	if before != "" && regionPart.MatchString(last) {
		h.region = last
		before, last = cutLast(before)
	}
	if !services[last] || before != "" && last != "s3" {
		return host{}
	}
	h.service, h.bucket = last, before
	return h
}

// cutLast takes the last part off a host name.
func cutLast(name string) (before, last string) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// enter holds a request against the host name that it was sent to, and tells
// whether it goes on to the other ways of dispatching; otherwise it is answered.
// A request at the name of a service has to be for that service, and for the
// region of the name. What is sent to S3 is answered here, signed or not: clients
// ask for buckets without a signature, and want to be told in S3's words.
func (f *front) enter(q *request, at host) bool {
	signed, err := sigv4.Parse(q.r)
	if err == nil {
		q.signed = signed
		if err = f.scoped(signed, at); err != nil {
			f.refuseAt(q, signed.Service, err) // in the words of the client, whichever that is
			return false
		}
	}
	switch {
	case at.service == "s3":
		q.bucket = at.bucket
		f.enterS3(q)
		return false
	case errors.Is(err, sigv4.ErrMissing) && at.service == "ssm":
		return true // registration has no signature; all else is refused further on
	case err != nil:
		f.refuseAt(q, at.service, err)
		return false
	}
	return true
}

// scoped is the error of a signature for another service or region than the
// host name's.
func (f *front) scoped(signed *sigv4.Signed, at host) error {
	err := signed.RequireScope(at.service, func(region string) bool {
		return f.regions[region] && (at.region == "" || at.region == region)
	})
	if coded, ok := errors.AsType[*ssmrun.Error](err); ok {
		more := *coded
		more.Message += " The request was sent to " + at.name + "."
		return &more
	}
	return err
}

// refuseAt refuses a request at a host name, in the shape of a service's errors.
func (f *front) refuseAt(q *request, service string, err error) {
	q.record.Operation = q.r.Method
	if q.signed != nil {
		q.record.Region = q.signed.Region
	}
	if service != "s3" {
		f.refuse(q, service, err)
		return
	}
	q.record.Service = service
	objects.WriteError(q.w, q.r, http.StatusBadRequest, string(sigv4.CodeFor(service, err)), ssmrun.ErrorMessage(err))
	f.outcome(q, err)
}

// bucketPath is the path of an S3 request as if its bucket were not in the host.
func (q *request) bucketPath() string {
	if q.bucket == "" {
		return q.r.URL.Path
	}
	return "/" + q.bucket + q.r.URL.Path
}

// enterS3 serves what is sent to s3 or a bucket's name. Nothing of it is read by
// anything but the S3 endpoint, which also says what is wrong with a signature.
func (f *front) enterS3(q *request) {
	if q.signed == nil {
		q.signed = &sigv4.Signed{}
	}
	if f.objects == nil {
		q.record.Service, q.record.Operation = "s3", q.r.Method+" "+q.bucketPath()
		objects.WriteError(q.w, q.r, http.StatusNotImplemented, "NotImplemented",
			"This service has no S3 of its own: it was started with --s3-endpoint. Send the request there.")
		f.outcome(q, &ssmrun.Error{Code: "NotImplemented"})
		return
	}
	f.s3(q)
}
