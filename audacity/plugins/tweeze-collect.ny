;nyquist plug-in
;version 4
;type process
;name "Tweeze Collect"
;action "Fetching the clip..."
;preview disabled
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false
;control which "Which clip (1: the first)" int "" 1 1 17

;@COMMON@

;@SENDING@

;; The newest job for what is selected: its status' name, or nil.
(defun tweeze-newest ()
  (let* ((prefix (tweeze-prefix)) (size (length prefix)) (newest nil))
    (dolist (name (listdir (strcat tweeze-spool "status")))
      (if (and (> (length name) size) (string= (subseq name 0 size) prefix))
        (if (or (null newest) (string> name newest)) (setf newest name))))
    newest))

;; The values of a key in a status, in their order.
(defun tweeze-values (name key)
  (let* ((fp (open (strcat tweeze-spool "status/" name)))
         (head (strcat key "=")) (size (length head)) (values nil))
    (when fp
      (do ((line (read-line fp) (read-line fp))) ((null line))
        (if (and (>= (length line) size) (string= (subseq line 0 size) head))
          (setf values (cons (subseq line size) values))))
      (close fp))
    (reverse values)))

(defun tweeze-nothing-yet (job)
  (cond
    ((tweeze-alive)
      (format nil "Tweeze is still at it (~a %): try again in a moment."
        (truncate (* 100 (read (make-string-input-stream (car (tweeze-values job "progress"))))))))
    (t "The Tweeze engine is not running: run 'tweeze start' in a terminal, and try again.")))

(defun tweeze-fetch (job)
  (let* ((clips (tweeze-values job "clip")) (path (nth (1- which) clips)))
    (cond
      ((null path)
        (format nil "That answer has ~a clip~a: ask for another." (length clips)
          (if (= (length clips) 1) "" "s")))
      ((not (tweeze-is-whole path (truncate len)))
        "The clip is no longer there: send the selection again.")
      (t (s-read path)))))

(let* ((job (tweeze-newest)) (state (if job (car (tweeze-values job "state")) "")))
  (cond
    ((null job)
      "No answer fits what is selected: select the range that you sent, on a copy of the track, and try again.")
    ((string= state "done") (tweeze-fetch job))
    ((string= state "failed") (strcat "Tweeze: " (car (tweeze-values job "message"))))
    ((string= state "cancelled") "That job was cancelled: send the selection again.")
    (t (tweeze-nothing-yet job))))
