package output

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const contentType = "text/plain"

// object is one object on its way into a bucket, in one piece or in parts. It
// knows what the first call found out. Parts may go up at the same time; else its
// methods are called one after another.
type object struct {
	up          *Uploader
	bucket, key string
	region      string // of the bucket, once it is known
	plain       bool   // the first call was taken without an ACL only
	id          string // of the upload in parts

	mu    sync.Mutex
	parts []types.CompletedPart
	size  int64 // of the parts
}

// first runs the first call about an object, once more where the bucket is in
// another region, and once more without the ACL where S3 refuses that.
//
// Like the genuine agent's, our objects belong to the owner of the bucket, which
// counts in buckets of other accounts. It takes s3:PutObjectAcl, which not every
// role has; and not every S3 has ACLs.
func (o *object) first(call func(c *s3.Client, acl types.ObjectCannedACL) error) error {
	for redirected := false; ; {
		c, err := o.client()
		if err != nil {
			return err
		}
		acl := types.ObjectCannedACLBucketOwnerFullControl
		if o.plain {
			acl = ""
		}
		err = call(c, acl)
		if err == nil {
			return nil
		}
		if other := bucketRegion(err); !redirected && other != "" && other != o.region {
			redirected, o.region = true, other
			continue
		}
		switch errorCode(err) {
		case "AccessDenied", "AccessControlListNotSupported", "NotImplemented", "InvalidArgument", "InvalidRequest":
			if !o.plain {
				o.plain = true
				continue
			}
		}
		return err
	}
}

func (o *object) client() (*s3.Client, error) { return o.up.client(o.region) }

// put puts a whole object.
func (o *object) put(ctx context.Context, s segment) error {
	ctx, cancel := context.WithTimeout(ctx, timeFor(s.size))
	defer cancel()
	return s.read(func(body io.ReadSeeker) error {
		return o.first(func(c *s3.Client, acl types.ObjectCannedACL) error {
			if _, err := body.Seek(0, io.SeekStart); err != nil {
				return err
			}
			_, err := c.PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String(o.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType), ACL: acl,
				Body: body, ContentLength: aws.Int64(s.size),
			})
			return err
		})
	})
}

// begin begins an upload in parts.
func (o *object) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return o.first(func(c *s3.Client, acl types.ObjectCannedACL) error {
		up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: aws.String(o.bucket), Key: aws.String(o.key), ContentType: aws.String(contentType), ACL: acl,
		})
		if err == nil {
			o.id = aws.ToString(up.UploadId)
		}
		return err
	})
}

// stuck is how long a part may take beside others on a slow line. After the end of
// its script the whole upload has less.
const stuck = 5 * time.Minute

// part uploads a part.
func (o *object) part(ctx context.Context, s segment) error {
	ctx, cancel := context.WithTimeout(ctx, stuck+timeFor(s.size))
	defer cancel()
	c, err := o.client()
	if err != nil {
		return err
	}
	number := aws.Int32(int32(s.number)) //nolint:gosec // at most maxParts
	return s.read(func(body io.ReadSeeker) error {
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(o.bucket), Key: aws.String(o.key), UploadId: aws.String(o.id), PartNumber: number,
			Body: body, ContentLength: aws.Int64(s.size),
		})
		if err != nil {
			return err
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.parts = append(o.parts, types.CompletedPart{ETag: out.ETag, PartNumber: number})
		o.size += s.size
		return nil
	})
}

// complete makes an object of the parts. S3 may copy all of it for that.
func (o *object) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeFor(o.size/16))
	defer cancel()
	slices.SortFunc(o.parts, func(a, b types.CompletedPart) int { return cmp.Compare(*a.PartNumber, *b.PartNumber) })
	in := &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(o.bucket), Key: aws.String(o.key), UploadId: aws.String(o.id),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: o.parts},
	}
	// Not repeated by the SDK: only we can tell that it was done where the answer
	// got lost, by the upload's being gone then.
	once := func(o *s3.Options) { o.Retryer = aws.NopRetryer{} }
	for try := 1; ; try++ {
		c, err := o.client()
		if err == nil {
			_, err = c.CompleteMultipartUpload(ctx, in, once)
		}
		switch {
		case err == nil || try > 1 && errorCode(err) == "NoSuchUpload":
			return nil
		case final(err) || try == attempts:
			return err
		}
		t := time.NewTimer(time.Duration(try) * firstPause)
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// abort gives the parts up, which would cost the bucket's owner for ever.
func (o *object) abort(ctx context.Context) error {
	// What ended the upload does not end this.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	c, err := o.client()
	if err != nil {
		return err
	}
	_, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: aws.String(o.bucket), Key: aws.String(o.key), UploadId: aws.String(o.id),
	})
	return err
}

// segment is a file that holds a part.
type segment struct {
	number int // of the part, from 1
	path   string
	size   int64
}

// read lends a reader of the file's bytes, from which a call can be repeated.
func (s segment) read(call func(io.ReadSeeker) error) error {
	f, err := os.Open(s.path)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	defer f.Close()
	return call(io.NewSectionReader(f, 0, s.size))
}
