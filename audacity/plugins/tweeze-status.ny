;nyquist plug-in
;version 4
;type tool
;name "Tweeze Status"
;action "Asking Tweeze..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false

;@COMMON@

;; Shows what the engine wrote down for Audacity: running jobs and the last errors.
(defun tweeze-news ()
  (let ((fp (open (strcat tweeze-spool "audacity.txt"))) (text ""))
    (when fp
      (do ((line (read-line fp) (read-line fp))) ((null line))
        (setf text (strcat text line (string #\Newline))))
      (close fp))
    (if (string= text "") "Tweeze is ready and has nothing to do." text)))

(cond
  ((tweeze-trouble nil))
  (t (tweeze-news)))
